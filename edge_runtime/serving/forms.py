"""Multipart forms, parsed in memory: nothing of an image is written to a temporary file."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from edge_runtime.serving.body import malformed

IMAGE = "image"
_MOST_PARTS = 16
_LONGEST_FIELD = 1000


@dataclass
class Form:
    """A parsed form.

    Attributes:
        image: bytes of the part ``image``.
        name: file name of that part; None without one.
        fields: the other parts, as text.
    """

    image: bytes
    name: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    content: list[bytes] = field(default_factory=list)


class _Collector:
    """Collects the parts of a form; its methods are the callbacks of the parser."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False

    def on_part_begin(self) -> None:
        if len(self.parts) == _MOST_PARTS:
            raise malformed(f"Found more than {_MOST_PARTS} parts in the form.")
        self.parts.append(_Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].value += data[start:end]

    def on_header_end(self) -> None:
        part = self.parts[-1]
        part.headers[bytes(part.header).lower()] = bytes(part.value)
        part.header, part.value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content.append(data[start:end])

    def on_end(self) -> None:
        self.ended = True


def parse_form(body: bytes, content_type: bytes) -> Form:
    """Parse a ``multipart/form-data`` body.

    Raises:
        Problem: ``multipart_invalid``.
    """
    _, options = parse_options_header(content_type)
    boundary, collector = options.get(b"boundary", b""), _Collector()
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
    return _form(collector.parts)


def _form(parts: list[_Part]) -> Form:
    image: Form | None = None
    fields: dict[str, str] = {}
    for part in parts:
        _, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name in fields or (name == IMAGE and image is not None):
            raise malformed("Found two parts of one name.")
        content = part.content[0] if len(part.content) == 1 else b"".join(part.content)
        if name == IMAGE:
            file = options.get(b"filename")
            image = Form(content, file.decode("utf-8", "replace") if file else None)
        elif len(content) > _LONGEST_FIELD:
            raise malformed(f"Found a field of over {_LONGEST_FIELD} bytes.")
        else:
            fields[name] = content.decode("utf-8", "replace")
    if image is None:
        raise malformed("Found no part named image.")
    return Form(image.image, image.name, fields)
