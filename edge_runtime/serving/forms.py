"""Forms: an image with its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header

from edge_runtime.serving.body import malformed
from edge_runtime.serving.multipart import parts_of

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


def parse_form(body: bytes, content_type: bytes) -> Form:
    """Parse a ``multipart/form-data`` body.

    Raises:
        Problem: ``multipart_invalid``.
    """
    image: Form | None = None
    fields: dict[str, str] = {}
    for part in parts_of(body, content_type, _MOST_PARTS):
        _, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name in fields or (name == IMAGE and image is not None):
            raise malformed("Found two parts of one name.")
        content = part.content
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
