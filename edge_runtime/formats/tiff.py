"""Classic TIFF 6.0 in strips, uncompressed or Deflate. Strips must be whole and inside the file.

LZW, PackBits, CCITT and JPEG inside TIFF have no checksum, and decoders leave the rest of a damaged
strip black without an error, so they are refused. A Deflate strip carries one, which is verified.
Tiles are refused because OpenCV 4.11 and 5.0 decode those of 16 bits but not those of 8.

libtiff is not used at all: it reads every tag into memory, be it thirty times the same 40 MB. The tags that say where
the pixels are, and how, are read here; :mod:`edge_runtime.formats.tiff_strips` decodes them.
"""

from __future__ import annotations

import struct
from functools import partial
from importlib import import_module
from math import ceil

from edge_runtime.formats.directory import Directory, byte_order, orientation, read_directory
from edge_runtime.formats.header import MAX_PIXELS, Format, Header, Pixels, damaged, not_taken, truncated
from edge_runtime.formats.inflating import estimate_s

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANES = 273, 277, 278, 279, 284
_PREDICTOR, _TILE_OFFSETS, _EXTRA, _SAMPLE_FORMAT, _RAW = 317, 324, 338, 339, 50706
_WANTED = frozenset(
    {_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, _SAMPLES}
    | {_ROWS_PER_STRIP, _STRIP_BYTES, _PLANES, _PREDICTOR, _TILE_OFFSETS, _EXTRA, _SAMPLE_FORMAT, _RAW}
)
_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)
_BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 1, 2, 3, 5
_COLOURS = {_BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}  # samples that are no extra ones
_HORIZONTAL = 2
_S_PER_BYTE, _S_PER_PREDICTED_BYTE = 2.5e-9, 3e-9


def inspect(data: bytes, name: str) -> Header:
    """Read the first directory and check its strips; see :func:`edge_runtime.formats.inspect`."""
    try:
        (offset,) = struct.unpack_from(f"{byte_order(data)}I", data, 4)
        page = read_directory(data, offset, _WANTED)
        frames = _count_pages(data, offset, page.next_offset)
    except ValueError as error:
        raise damaged(name, Format.TIFF, str(error)) from None
    header = _header(data, page, frames, orientation(data, offset, byte_order(data)), name)
    _refuse_variants(page, header, name)
    if header.pixels <= MAX_PIXELS:
        _check_strips(data, page, header, name)
    return header


def _count_pages(data: bytes, offset: int, following: int) -> int:
    """1, or 2 for any more: directories can overlap in so many ways that following them all could take hours."""
    if not following:
        return 1
    if following == offset:
        raise ValueError("its directories form a loop")
    read_directory(data, following, frozenset())
    return 2


def _header(data: bytes, page: Directory, frames: int, orientation: int, name: str) -> Header:
    width, height, samples = page.first(_WIDTH, 0), page.first(_HEIGHT, 0), page.first(_SAMPLES, 1)
    bits, photometric = page.tags.get(_BITS, (1,)), page.first(_PHOTOMETRIC, -1)
    if photometric not in _COLOURS:
        found = f"a TIFF file of photometric interpretation {photometric}"
        raise not_taken(name, found, "black-is-zero grey or RGB (0 is inverted grey); save it as PNG")
    colours = _COLOURS[photometric]
    uniform = len(set(bits)) == 1 and 0 < bits[0] <= 64 and len(bits) in (1, samples)
    extra = page.tags.get(_EXTRA, (0,) * max(0, samples - colours))
    if not (width and height and uniform) or samples != colours + len(extra):
        declared = f"{width}x{height}, {samples} samples of {bits[:4]} bits"
        raise damaged(name, Format.TIFF, f"it declares {declared}")
    if len(extra) > 1:
        raise not_taken(name, f"a TIFF file of {len(extra)} channels beside the colours", "none; save it as PNG")
    row_bytes = ceil(width * bits[0] * samples / 8)
    rows = max(1, page.first(_ROWS_PER_STRIP, height))
    predicted = page.first(_PREDICTOR, 1) == _HORIZONTAL
    return Header(
        Format.TIFF,
        width,
        height,
        channels=colours,
        bit_depth=bits[0],
        palette=photometric == _PALETTE,
        alpha=bool(extra),
        cmyk=photometric == _CMYK,
        orientation=orientation,
        frames=frames,
        buffer_bytes=2 * row_bytes * min(height, rows),
        work_s=_work_s(page, row_bytes * height, predicted),
        decoder=partial(_decode, data, page, (width, height, samples), bits[0], name),
    )


def _work_s(page: Directory, decoded_bytes: int, predicted: bool) -> float:
    copied = decoded_bytes * (_S_PER_PREDICTED_BYTE if predicted else 0.0) + decoded_bytes * _S_PER_BYTE
    if page.first(_COMPRESSION, _UNCOMPRESSED) not in _DEFLATE:
        return copied
    return copied + estimate_s(sum(page.tags.get(_STRIP_BYTES, ())), decoded_bytes)


def _refuse_variants(page: Directory, header: Header, name: str) -> None:
    """Refuse what decoders render in their own ways, or cannot tell to be damaged."""
    if set(page.tags.get(_SAMPLE_FORMAT, (1,))) != {1}:
        found = "a TIFF file of signed or floating-point numbers"
        expected = "unsigned 8 or 16 bits; export it with the window its readers use"
        raise not_taken(name, found, expected, "image_depth")
    compression = page.first(_COMPRESSION, _UNCOMPRESSED)
    if compression not in (_UNCOMPRESSED, *_DEFLATE):
        found = f"a TIFF file of compression {compression}, in which damage goes unnoticed"
        raise not_taken(name, found, "no compression or Deflate; save it so, or as PNG")
    if _TILE_OFFSETS in page.tags:
        raise not_taken(name, "a TIFF file in tiles", "strips; save the region to classify as PNG")
    if page.first(_SAMPLES, 1) > 1 and page.first(_PLANES, 1) != 1:
        raise not_taken(name, "a TIFF file with separate colour planes", "interleaved ones; save it as PNG")
    if page.first(_FILL_ORDER, 1) != 1 or page.first(_PREDICTOR, 1) not in (1, _HORIZONTAL):
        found = "a TIFF file with reversed bits or a floating-point predictor"
        raise not_taken(name, found, "a plain one; save it as PNG")
    if page.first(_PREDICTOR, 1) != 1 and compression == _UNCOMPRESSED:
        found = "an uncompressed TIFF file with a predictor, which some readers apply and others do not"
        raise not_taken(name, found, "one without; save the original as PNG")
    if page.first(_SUBFILE, 0) & 5 or _RAW in page.tags:
        found = "a TIFF file that begins with a preview or a mask (camera raw files do)"
        raise not_taken(name, found, "the image itself; develop it and save it as PNG")


def _check_strips(data: bytes, page: Directory, header: Header, name: str) -> None:
    """Each strip must lie inside the file and hold the bytes of its rows."""
    offsets, counts = page.tags.get(_STRIP_OFFSETS, ()), page.tags.get(_STRIP_BYTES, ())
    rows = max(1, page.first(_ROWS_PER_STRIP, header.height_px))
    strips = ceil(header.height_px / rows)
    if not len(offsets) == len(counts) == strips:
        raise damaged(name, Format.TIFF, f"found {len(offsets)} strips, expected {strips}")
    row_bytes = ceil(header.width_px * header.bit_depth * page.first(_SAMPLES, 1) / 8)
    deflated = page.first(_COMPRESSION, _UNCOMPRESSED) in _DEFLATE
    if deflated and sum(counts) > len(data):  # inflating the same bytes again for every strip could take hours
        raise damaged(name, Format.TIFF, f"its strips have {sum(counts)} bytes in a file of {len(data)}")
    size = row_bytes * min(rows, header.height_px)
    last = row_bytes * (header.height_px - rows * (strips - 1))
    if not deflated and (min(counts[:-1], default=size) < size or counts[-1] < last):
        raise damaged(name, Format.TIFF, f"a strip has {min(counts)} bytes of {size}")
    end = max(map(sum, zip(offsets, counts, strict=True)))
    if end > len(data):
        raise truncated(name, Format.TIFF, f"a strip ends at byte {end} of {len(data)}")


def _decode(data: bytes, page: Directory, shape: tuple[int, int, int], bits: int, name: str) -> Pixels:
    strips = import_module("edge_runtime.formats.tiff_strips")
    layout = strips.Layout(
        *shape,
        dtype=f"{byte_order(data)}u{bits // 8}",
        rows=max(1, page.first(_ROWS_PER_STRIP, shape[1])),
        deflated=page.first(_COMPRESSION, _UNCOMPRESSED) in _DEFLATE,
        predicted=page.first(_PREDICTOR, 1) == _HORIZONTAL,
    )
    found: Pixels = strips.decode(data, page.tags[_STRIP_OFFSETS], page.tags[_STRIP_BYTES], layout, name)
    return found
