"""Inspector for binary PNM (Netpbm pgm(5) and ppm(5)): one image, with data of exactly the declared length."""

from __future__ import annotations

import re

from edge_runtime.images.formats.header import Header, ImageFormat, damaged, not_taken, truncated

# White space must follow each number directly, as readers differ in how they read a comment there.
_GAP = rb"\s(?:\s|#[^\r\n]*[\r\n])*"
_HEAD = re.compile(rb"P([56])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})\s")
_BITS = {255: 8, 65535: 16}


def inspect(data: bytes, name: str) -> Header:
    """Read the head and check the length; see :func:`edge_runtime.images.formats.inspect`."""
    head = _HEAD.match(data, 0, 4096)
    if head is None:
        if len(data) < 32:
            raise truncated(name, ImageFormat.PNM, f"{len(data)} bytes end inside the head")
        raise damaged(name, ImageFormat.PNM, f"its head reads {data[:24]!r}")
    magic, width, height, maximum = (int(part) for part in head.groups())
    if not (width and height and 0 < maximum < 65536):
        raise damaged(name, ImageFormat.PNM, f"it declares {width}x{height} with the maximum {maximum}")
    if maximum not in _BITS:
        # A reader would have to rescale the values, which changes the model's input.
        found = f"a PNM file whose maximum is {maximum}"
        raise not_taken(name, found, "255 or 65535; export it with 8 or 16 bits", "image_depth")
    channels = 1 if magic == 5 else 3
    surplus = len(data) - head.end() - width * height * channels * (_BITS[maximum] // 8)
    if surplus < 0:
        raise truncated(name, ImageFormat.PNM, f"{-surplus} bytes of its pixels are missing")
    another = re.compile(rb"\s*P[1-7]\s").match(data, len(data) - surplus)
    if surplus and not another:
        raise damaged(name, ImageFormat.PNM, f"{surplus} bytes follow its pixels")
    return Header(ImageFormat.PNM, width, height, channels, _BITS[maximum], frames=2 if another else 1)
