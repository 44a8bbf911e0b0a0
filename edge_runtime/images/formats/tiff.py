"""Inspector for classic TIFF 6.0 in strips, uncompressed or Deflate. Strips must be complete and inside the file.

LZW, PackBits, CCITT and JPEG inside TIFF are rejected: they have no checksum, and decoders leave the rest of a damaged
strip black without an error. A Deflate strip has a checksum, which is verified. Tiles are rejected because OpenCV 4.11
and 5.0 decode tiles of 16 bits but not of 8 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib import import_module
from math import ceil

from edge_runtime.images.formats.directory import Directory, byte_order, orientation, read_directory
from edge_runtime.images.formats.header import (
    MAX_PARTS,
    MAX_PIXELS,
    Header,
    ImageFormat,
    OpenCV,
    Pixels,
    damaged,
    not_taken,
    too_many_parts,
    truncated,
)
from edge_runtime.images.formats.inflating import estimate_s
from edge_runtime.images.formats.transparency import transparency

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANES = 273, 277, 278, 279, 284
_PREDICTOR, _TILE_OFFSETS, _EXTRA, _SAMPLE_FORMAT = 317, 324, 338, 339
_WANTED = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIP_OFFSETS, _SAMPLES}
    | {_ROWS_PER_STRIP, _STRIP_BYTES, _PLANES, _PREDICTOR, _TILE_OFFSETS, _EXTRA, _SAMPLE_FORMAT}
)
_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)
_BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 1, 2, 3, 5
_ALPHA = (1, 2)  # ExtraSamples: associated, unassociated; 0 is unspecified
_COLOURS = {_BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}  # samples without extra ones
_HORIZONTAL = 2
_S_PER_BYTE, _S_PER_PREDICTED_BYTE = 2.5e-9, 3e-9
"""Processor time of NumPy and OpenCV, see ``header.MAX_WORK_S``."""


def inspect(data: bytes, name: str) -> Header:
    """Read the first directory and check its strips; see :func:`edge_runtime.images.formats.inspect`."""
    try:
        (offset,) = struct.unpack_from(f"{byte_order(data)}I", data, 4)
        page = read_directory(data, offset, _WANTED)
        frames = _count_pages(data, offset, page.next_offset)
        turned = orientation(data, offset)
    except ValueError as error:
        raise damaged(name, ImageFormat.TIFF, str(error)) from None
    header = _header(page, frames, name)._replace(orientation=turned)
    _refuse_variants(page, name)
    # The caller rejects an image above the size limit.
    if header.pixels <= MAX_PIXELS:
        _check_strips(data, page, header, name)
        header = header._replace(decoder=_decoder(data, page, header, name), work_s=_work_s(page, header))
    return header


def _decoder(data: bytes, page: Directory, header: Header, name: str) -> Callable[[OpenCV], Pixels]:
    """Return a decoder of the strips. libtiff would read every tag into memory, even 40 MB thirty times."""

    def decode(_: OpenCV) -> Pixels:
        strips = import_module("edge_runtime.images.formats.tiff_strips")
        layout = strips.Layout(
            header.width_px,
            header.height_px,
            page.first(_SAMPLES, 1),
            dtype=f"{byte_order(data)}u{header.bit_depth // 8}",
            rows=_rows_per_strip(page, header.height_px),
            deflated=page.first(_COMPRESSION, _UNCOMPRESSED) in _DEFLATE,
            predicted=page.first(_PREDICTOR, 1) == _HORIZONTAL,
        )
        found: Pixels = strips.decode(data, page.tags[_STRIP_OFFSETS], page.tags[_STRIP_BYTES], layout, name)
        return found

    return decode


def _work_s(page: Directory, header: Header) -> float:
    size = _row_bytes(header.width_px, header.bit_depth, page.first(_SAMPLES, 1)) * header.height_px
    copied = size * (_S_PER_BYTE + (_S_PER_PREDICTED_BYTE if page.first(_PREDICTOR, 1) == _HORIZONTAL else 0.0))
    if page.first(_COMPRESSION, _UNCOMPRESSED) not in _DEFLATE:
        return copied
    return copied + estimate_s(sum(page.tags[_STRIP_BYTES]), size)


def _count_pages(data: bytes, offset: int, following: int) -> int:
    """Return 1, or 2 for more than one page. Overlapping directories could take hours to follow, so they are not."""
    if not following:
        return 1
    if following == offset:
        raise ValueError("its directories form a loop")
    read_directory(data, following, frozenset())
    return 2


def _header(page: Directory, frames: int, name: str) -> Header:
    width, height, samples = page.first(_WIDTH, 0), page.first(_HEIGHT, 0), page.first(_SAMPLES, 1)
    bits, photometric = page.tags.get(_BITS, (1,)), page.first(_PHOTOMETRIC, -1)
    if photometric not in _COLOURS:
        found = f"a TIFF file of photometric interpretation {photometric}"
        raise not_taken(name, found, "black-is-zero grey or RGB (0 is inverted grey); save it as PNG")
    uniform = len(set(bits)) == 1 and 0 < bits[0] <= 64
    if not (width and height and uniform) or samples < _COLOURS[photometric]:
        declared = f"{width}x{height}, {samples} samples of {bits[:4]} bits"
        raise damaged(name, ImageFormat.TIFF, f"it declares {declared}")
    return Header(
        ImageFormat.TIFF,
        width,
        height,
        channels=_COLOURS[photometric],
        bit_depth=bits[0],
        palette=photometric == _PALETTE,
        alpha=_has_alpha(page, samples - _COLOURS[photometric], name),
        cmyk=photometric == _CMYK,
        frames=frames,
        buffer_bytes=2 * _row_bytes(width, bits[0], samples) * min(height, _rows_per_strip(page, height)),
    )


def _has_alpha(page: Directory, extra: int, name: str) -> bool:
    """Return whether the only extra sample is alpha; reject other extra samples."""
    kinds = page.tags.get(_EXTRA, ())
    if not extra and not kinds:
        return False
    if page.first(_PHOTOMETRIC, -1) in (_PALETTE, _CMYK):
        return True
    if extra != 1 or len(kinds) != 1 or kinds[0] not in _ALPHA:
        raise transparency(name, f"{extra} extra samples of kind {kinds[:4]} in a TIFF file")
    return True


def _refuse_variants(page: Directory, name: str) -> None:
    """Reject variants that decoders render differently, or whose damage they cannot detect."""
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
    if compression == _UNCOMPRESSED and page.first(_PREDICTOR, 1) != 1:
        # TIFF 6.0 defines a predictor only for compressed data, but some readers apply it here too.
        raise not_taken(name, "an uncompressed TIFF file with a predictor", "none; save it as PNG")
    if page.first(_FILL_ORDER, 1) != 1 or page.first(_PREDICTOR, 1) not in (1, _HORIZONTAL):
        found = "a TIFF file with reversed bits or a floating-point predictor"
        raise not_taken(name, found, "a plain one; save it as PNG")


def _check_strips(data: bytes, page: Directory, header: Header, name: str) -> None:
    """Check that each strip lies inside the file and contains the bytes of its rows."""
    offsets, counts = page.tags.get(_STRIP_OFFSETS, ()), page.tags.get(_STRIP_BYTES, ())
    strips = ceil(header.height_px / _rows_per_strip(page, header.height_px))
    if len(offsets) == strips > MAX_PARTS:
        raise too_many_parts(name, ImageFormat.TIFF)
    if not len(offsets) == len(counts) == strips:
        raise damaged(name, ImageFormat.TIFF, f"found {len(offsets)} strips, expected {strips}")
    sizes = _decoded_bytes(page, header)
    deflated = page.first(_COMPRESSION, _UNCOMPRESSED) in _DEFLATE
    if deflated and sum(counts) > len(data):  # inflating the same bytes again for every strip could take hours
        raise damaged(name, ImageFormat.TIFF, f"its strips have {sum(counts)} bytes in a file of {len(data)}")
    for offset, count, size in zip(offsets, counts, sizes, strict=True):
        if offset + count > len(data):
            raise truncated(name, ImageFormat.TIFF, f"a strip ends at byte {offset + count} of {len(data)}")
        if not deflated and count < size:
            raise damaged(name, ImageFormat.TIFF, f"a strip has {count} bytes of {size}")


def _decoded_bytes(page: Directory, header: Header) -> list[int]:
    """Return the decoded size of each strip in bytes; the last strip may have fewer rows."""
    row_bytes = _row_bytes(header.width_px, header.bit_depth, page.first(_SAMPLES, 1))
    rows = _rows_per_strip(page, header.height_px)
    return [row_bytes * min(rows, header.height_px - top) for top in range(0, header.height_px, rows)]


def _row_bytes(width_px: int, bits: int, samples: int) -> int:
    return ceil(width_px * bits * samples / 8)


def _rows_per_strip(page: Directory, height_px: int) -> int:
    return max(1, page.first(_ROWS_PER_STRIP, height_px))
