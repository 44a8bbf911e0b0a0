"""Decode one frame of a DICOM image into stored values, with the memory bounded beforehand.

What a compressed frame states is compared with the object before a decoder sees it (:mod:`codestreams`). pydicom
chooses the decoder: its own for uncompressed pixels, else python-gdcm, Pillow, pyjpegls or pylibjpeg-openjpeg, what
is installed; these run in a process of their own (:mod:`isolation`). RLE is decoded here, with a bound (:mod:`rle`).
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from edge_runtime.bundle.dicom_input import Photometric
from edge_runtime.dicom.codestreams import Codestream, read_codestream
from edge_runtime.dicom.dataset import number, silent
from edge_runtime.dicom.decoder_process import MOST_BYTES, OPENJPEG, needed_bytes
from edge_runtime.dicom.isolation import FrameError, decode_frame
from edge_runtime.dicom.layout import SIZES, PixelLayout, Stored
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.rle import decoded_rle
from edge_runtime.dicom.syntaxes import EXTENDED, Codec
from edge_runtime.platform.machine_faults import raise_machine_fault

if TYPE_CHECKING:
    from pydicom import Dataset

_ITEM, _ITEM_HEADER = struct.Struct("<II"), 8
_ITEM_TAG, _SEQUENCE_END = 0xE000FFFE, 0xE0DDFFFE  # (FFFE,E000) and (FFFE,E0DD), read as one number
_2000_HEADS = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "  # SOC and SIZ of T.800, or the first box of a JP2 file
_HEADS = {
    Codec.JPEG: (b"\xff\xd8",),
    Codec.JPEG_LS: (b"\xff\xd8",),
    Codec.JPEG_2000: _2000_HEADS,
    Codec.HTJ2K: _2000_HEADS,
}
"""How the first fragment of a frame begins. Each frame of RLE has one fragment."""

_JPEG_2000 = (Codec.JPEG_2000, Codec.HTJ2K)
_WHOLE = "a whole one. Copy the file again from its source."


def frame_of(dataset: Dataset, layout: PixelLayout, index: int, name: str) -> tuple[Stored, Photometric]:
    """Return the stored values of one frame, and their photometric interpretation after decoding.

    Args:
        dataset: the object.
        layout: its layout.
        index: the frame, from 0.
        name: name in errors.

    Returns:
        H×W, or H×W×3 with the channels last, 8 or 16 bits; YBR is converted to RGB.

    Raises:
        DicomError: ``dicom_size_wrong``, ``dicom_codec_missing`` or ``dicom_decoding``.
        MachineError: too little memory.
    """
    with silent(name):
        if not layout.syntax.compressed:
            _check_length(dataset, layout, name)
            pixels, after = _native(dataset, layout, index)
        else:
            encoded = _encoded(dataset, layout, index, name)
            if layout.syntax.codec is Codec.RLE:
                pixels, after = _of_rle(encoded, layout, name)
            else:
                _check_codestream(encoded, layout, name)
                _require_decoder(layout, name)
                pixels, after = _decoded(dataset, layout, encoded, name)
        return _checked(pixels, layout, name), after


def _check_length(dataset: Dataset, layout: PixelLayout, name: str) -> None:
    """Check the length of uncompressed pixel data (PS3.5 8.1.1), which is padded to an even number of bytes."""
    length = len(dataset.PixelData)
    expected = layout.frame_bytes * layout.frames
    if layout.photometric is Photometric.YBR_FULL_422:
        expected = expected // 3 * 2
    if length != expected + expected % 2:
        raise refused(Refusal.SIZE_WRONG, name, f"{length} bytes of pixels", f"{expected}: {SIZES}")


def _encoded(dataset: Dataset, layout: PixelLayout, index: int, name: str) -> bytes:
    from pydicom.encaps import get_frame

    extended = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        extended = dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    _check_offsets(dataset, layout, name)
    try:
        found = get_frame(dataset.PixelData, index, number_of_frames=layout.frames, extended_offsets=extended)
        return bytes(found)
    except Exception as error:
        raise_machine_fault(error, name)
        raise refused(Refusal.SIZE_WRONG, name, f"no fragments for frame {index + 1}", SIZES) from None


def _check_offsets(dataset: Dataset, layout: PixelLayout, name: str) -> None:
    """Check the fragments and their offset tables (PS3.5 A.4, PS3.3 C.7.6.3.1.8) against the number of frames.

    Each frame begins at a fragment, after the one before. A false table or number would give another frame than the
    chosen one.
    """
    data = dataset.PixelData
    try:
        (table, length), *fragments = _items(data)
        tables = [struct.unpack_from(f"<{length // 4}I", data, table)]
        if "ExtendedOffsetTable" in dataset:
            tables.append(struct.unpack(f"<{len(dataset.ExtendedOffsetTable) // 8}Q", dataset.ExtendedOffsetTable))
    except (struct.error, ValueError):
        raise refused(Refusal.SIZE_WRONG, name, "fragments that cannot be followed", SIZES) from None
    starts, heads = {place - table - length - _ITEM_HEADER for place, _ in fragments}, _HEADS.get(layout.syntax.codec)
    begun = sum(data.startswith(heads, place) for place, _ in fragments) if heads else len(fragments)
    if len(fragments) < layout.frames or begun > layout.frames:
        found = f"{len(fragments)} fragments, of which {begun} begin a frame"
        raise refused(Refusal.SIZE_WRONG, name, found, f"those of {layout.frames} frames: {SIZES}")
    for offsets in filter(None, tables if layout.frames > 1 else ()):
        rises = all(before < after for before, after in pairwise(offsets))
        if len(offsets) != layout.frames or offsets[0] != 0 or not rises or not starts.issuperset(offsets):
            found = "an offset table that does not point at the frames"
            raise refused(Refusal.SIZE_WRONG, name, found, f"one offset for each of {layout.frames} frames: {SIZES}")


def _items(data: bytes) -> list[tuple[int, int]]:
    """Return start and length of each item of encapsulated pixel data; the first one is the Basic Offset Table."""
    found, place = list[tuple[int, int]](), 0
    while place < len(data):
        tag, length = _ITEM.unpack_from(data, place)
        if tag == _SEQUENCE_END:
            break
        place += _ITEM_HEADER
        if tag != _ITEM_TAG or place + length > len(data):
            raise ValueError("no item")
        found.append((place, length))
        place += length
    return found


def _check_codestream(encoded: bytes, layout: PixelLayout, name: str) -> None:
    """Check what a compressed frame says of itself against the object."""
    found = read_codestream(encoded, layout.syntax.codec)
    if found is None:
        raise refused(Refusal.DECODING, name, f"a frame that is no whole {layout.syntax.codec.value}", _WHOLE)
    if (found.columns, found.rows, found.samples) != (layout.columns, layout.rows, layout.samples):
        told = f"a frame of {found.columns}x{found.rows} pixels and {found.samples} samples"
        raise refused(Refusal.SIZE_WRONG, name, told, f"{layout.columns}x{layout.rows} and {layout.samples}: {SIZES}")
    if found.bits > layout.allocated or not _signs_agree(found, layout):
        told = f"a frame of {found.bits} bits{', signed' if found.signed else ''}"
        stated = f"{layout.stored} of {layout.allocated} bits{', signed' if layout.signed else ''}"
        raise refused(Refusal.BITS, name, told, f"{stated}. Correct the object at its source.")
    if _contradicts(found.luminance, layout):
        kind = "luminance and chroma" if found.luminance else "red, green and blue"
        expected = "what the frame holds. Correct the object at its source."
        raise refused(Refusal.PHOTOMETRIC, name, f"{layout.photometric.value} of a frame of {kind}", expected)
    if found.lossy and not layout.syntax.lossy:
        expected = "pixels without loss, as its syntax says. Ask the archive for the original."
        raise refused(Refusal.LOSSY, name, f"a frame with loss in the syntax {layout.syntax.name}", expected)


def _signs_agree(found: Codestream, layout: PixelLayout) -> bool:
    """Return whether it is known where the sign of a value stands.

    A frame may have another precision than Bits Stored: archives write the bits that are in use. Without signs, the
    values are the same. Where only one of both says "signed", the sign is the highest stored bit.
    """
    if layout.signed:
        return bool(found.signed) or found.bits >= layout.stored
    return not found.signed or found.bits == layout.stored


def _native(dataset: Dataset, layout: PixelLayout, index: int) -> tuple[npt.NDArray[Any], Photometric]:
    """Return uncompressed pixels: a view of the data set's bytes where they need no conversion."""
    from pydicom.pixels import get_decoder

    pixels, after = get_decoder(layout.syntax.uid).as_array(
        dataset, index=index, view_only=True, correct_unused_bits=False
    )
    return pixels, Photometric(after["photometric_interpretation"])


def _of_rle(encoded: bytes, layout: PixelLayout, name: str) -> tuple[npt.NDArray[Any], Photometric]:
    pixels = decoded_rle(encoded, layout, name)
    if layout.photometric not in (Photometric.YBR_FULL, Photometric.YBR_FULL_422):
        return pixels, layout.photometric
    from pydicom.pixels import convert_color_space

    return convert_color_space(pixels, "YBR_FULL", "RGB"), Photometric.RGB


def _contradicts(luminance: bool | None, layout: PixelLayout) -> bool:
    """Return whether a frame says other colours than its object. JPEG 2000 in RGB is decoded right in either case."""
    if luminance is None or (layout.photometric is Photometric.RGB and layout.syntax.codec is not Codec.JPEG):
        return False
    if layout.syntax.codec is Codec.JPEG:
        return luminance is (layout.photometric is Photometric.RGB)
    return luminance is not (layout.photometric in (Photometric.YBR_RCT, Photometric.YBR_ICT))


def _require_decoder(layout: PixelLayout, name: str) -> None:
    from pydicom.pixels import get_decoder

    if layout.syntax.uid == EXTENDED and layout.stored > 8:
        expected = "8 bits: no decoder for more of that process is installed. Ask the archive for a lossless copy."
        raise refused(Refusal.CODEC_MISSING, name, f"{layout.syntax.name} of {layout.stored} bits", expected)
    if not get_decoder(layout.syntax.uid).is_available:
        expected = 'a decoder for it. Run: pip install "edge-predict[dicom-codecs]", or decompress the file (gdcmconv).'
        raise refused(Refusal.CODEC_MISSING, name, layout.syntax.name, expected)


def _plugin(layout: PixelLayout) -> str:
    """Return pydicom's name of the decoder to use; empty where pydicom chooses."""
    from pydicom.pixels import get_decoder

    known = layout.syntax.codec in _JPEG_2000 and OPENJPEG in get_decoder(layout.syntax.uid).available_plugins
    return OPENJPEG if known else ""


def _decoded(dataset: Dataset, layout: PixelLayout, encoded: bytes, name: str) -> tuple[npt.NDArray[Any], Photometric]:
    """Decode a compressed frame in the other process."""
    options = {
        "syntax": layout.syntax.uid,
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "photometric_interpretation": layout.photometric.value,
        "decoding_plugin": _plugin(layout),
    }
    if layout.samples > 1:
        options["planar_configuration"] = int(number(dataset, "PlanarConfiguration") or 0)
    needed = needed_bytes(len(encoded), options)
    if layout.syntax.codec in _JPEG_2000 and needed > MOST_BYTES:
        expected = f"at most {MOST_BYTES >> 20}. Decompress the file (gdcmconv --raw)."
        raise refused(Refusal.TOO_LARGE, name, f"a frame that takes {needed >> 20} MiB to decode", expected)
    try:
        found = decode_frame(encoded, options)
    except FrameError as error:
        if error.memory:
            raise_machine_fault(MemoryError(), name)
        raise refused(Refusal.DECODING, name, f"{layout.syntax.name} that cannot be decoded", _WHOLE) from None
    if found.damaged:
        raise refused(Refusal.DECODING, name, f"damaged {layout.syntax.name}", _WHOLE)
    return found.pixels, Photometric(found.photometric)


def _checked(pixels: npt.NDArray[Any], layout: PixelLayout, name: str) -> Stored:
    """Check the decoded shape, and clear or extend the bits above the stored ones."""
    shape = (layout.rows, layout.columns) + ((3,) if layout.samples == 3 else ())
    if pixels.shape != shape or pixels.dtype.itemsize > 2 or pixels.dtype.kind not in "ui":
        raise refused(Refusal.SIZE_WRONG, name, f"decoded pixels of shape {pixels.shape}", f"{shape}: {SIZES}")
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    pixels = pixels.view(f"{'i' if layout.signed else 'u'}{pixels.dtype.itemsize}")
    unused = 8 * pixels.dtype.itemsize - layout.stored
    if unused > 0 and (layout.signed or int(pixels.max()) >> layout.stored):
        pixels = pixels << unused
        pixels >>= unused  # shifts of a signed type copy its sign bit
    return pixels
