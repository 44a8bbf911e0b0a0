"""Multipart bodies, parsed in memory: nothing of an image is written to a temporary file."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from edge_runtime.serving.body import malformed


@dataclass
class Part:
    """A part of a body: its headers, names in lower case, and its content."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        """The bytes of the part."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


class _Collector:
    """Collects the parts of a body; its methods are the callbacks of the parser."""

    def __init__(self, most_parts: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._most_parts = most_parts
        self._header, self._value = bytearray(), bytearray()

    def on_part_begin(self) -> None:
        if len(self.parts) == self._most_parts:
            raise malformed(f"Found more than {self._most_parts} parts in the form.")
        self.parts.append(Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self.parts[-1].headers[bytes(self._header).lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].pieces.append(data[start:end])

    def on_end(self) -> None:
        self.ended = True


def parts_of(body: bytes, content_type: bytes, most_parts: int) -> list[Part]:
    """Return the parts of a multipart body (RFC 2046, 5.1).

    Raises:
        Problem: ``multipart_invalid``.
    """
    _, options = parse_options_header(content_type)
    boundary, collector = options.get(b"boundary", b""), _Collector(most_parts)
    if not boundary:
        raise malformed("Found a form without a boundary.")
    names = ("part_begin", "header_field", "header_value", "header_end", "part_data", "end")
    callbacks = {f"on_{name}": getattr(collector, f"on_{name}") for name in names}
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise malformed("Found a damaged form.") from None
    if not collector.ended:
        raise malformed("Found a form that ends early.")
    return collector.parts
