"""Decode one frame of a DICOM image into stored values, with the memory bounded beforehand.

The sizes that a compressed frame states itself are compared with Rows and Columns before a decoder sees it, as decoders
allocate what the frame says. pydicom chooses the decoder: its own for uncompressed pixels, else python-gdcm, Pillow or
pyjpegls, whichever is installed; these run in a process of their own. RLE is decoded here, with a bound.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.dicom_input import Photometric
from edge_runtime.dicom.dataset import number, silent, text, value
from edge_runtime.dicom.guard import too_large
from edge_runtime.dicom.isolation import FrameError, decode_frame
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.syntaxes import EXTENDED, SYNTAXES, Codec, Syntax
from edge_runtime.platform.machine_faults import raise_machine_fault

if TYPE_CHECKING:
    from pydicom import Dataset

Stored = npt.NDArray[np.uint8 | np.int8 | np.uint16 | np.int16]

MOST_FRAME_BYTES = 64 << 20
"""Largest decoded frame: mammograms of 33 million pixels. Decoders hold a frame up to five times."""

MOST_FRAMES = 100_000
_TABLES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})  # SOF0 to SOF3 of JPEG, SOF55 of JPEG-LS
_COMMON = {"rows": "Rows", "columns": "Columns", "bits": "BitsAllocated", "stored": "BitsStored"}


@dataclass(frozen=True)
class PixelLayout:
    """The Image Pixel Module of an object (PS3.3 C.7.6.3), checked.

    Attributes:
        rows: height in pixels.
        columns: width in pixels.
        frames: number of frames.
        samples: 1 or 3 values per pixel.
        allocated: 8 or 16 bits of a value in the file.
        stored: bits that carry the value.
        signed: whether values are two's complement.
        photometric: photometric interpretation.
        syntax: transfer syntax.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    photometric: Photometric
    syntax: Syntax

    @property
    def frame_bytes(self) -> int:
        """Size of one decoded frame in bytes."""
        return self.rows * self.columns * self.samples * self.allocated // 8


def layout_of(dataset: Dataset, name: str) -> PixelLayout:
    """Return the layout of the pixels.

    Raises:
        DicomError: ``dicom_no_pixels``, ``dicom_float_pixels``, ``dicom_one_bit``, ``dicom_bits``,
            ``dicom_photometric``, ``dicom_size_wrong``, ``dicom_overlay``, ``dicom_too_large``,
            ``dicom_compression`` or ``dicom_damaged``.
    """
    with silent(name):
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            expected = "whole numbers. Export the image as its modality shows it."
            raise refused(Refusal.FLOAT_PIXELS, name, "floating-point pixels", expected)
        if "PixelData" not in dataset:
            raise refused(Refusal.NO_PIXELS, name, "an object without pixels", "an image. Name the image object.")
        numbers = {key: _whole(dataset, keyword) for key, keyword in _COMMON.items()}
        frames = _whole(dataset, "NumberOfFrames", 1)
        samples = _whole(dataset, "SamplesPerPixel", 1)
        signed = _whole(dataset, "PixelRepresentation", 0)
        high = _whole(dataset, "HighBit", numbers["stored"] - 1)
        photometric = _photometric(dataset, name)
        syntax = syntax_of(dataset, name)
        has_overlay = any(
            dataset.get((group, 0x0102)) is not None and int(dataset[group, 0x0102].value or 0) > 0
            for group in range(0x6000, 0x6020, 2)
        )
    if numbers["bits"] == 1:
        raise refused(Refusal.ONE_BIT, name, "pixels of 1 bit", "8 to 16 bits. Name the image that they belong to.")
    if numbers["bits"] not in (8, 16) or not 2 <= numbers["stored"] <= numbers["bits"] or high != numbers["stored"] - 1:
        found = f"{numbers['bits']} bits allocated, {numbers['stored']} stored, the highest at {high}"
        raise refused(Refusal.BITS, name, found, "8 or 16 allocated, stored from bit 0. Store the image again.")
    if samples != (1 if photometric.is_grey or photometric is Photometric.PALETTE else 3) or signed not in (0, 1):
        expected = "1 of grey, 3 of colour. Store the image again."
        raise refused(Refusal.PHOTOMETRIC, name, f"{samples} samples in {photometric.value}", expected)
    if has_overlay:
        expected = "pixels alone. Remove the overlay, or store it as Overlay Data."
        raise refused(Refusal.OVERLAY, name, "an overlay in the bits of the pixels", expected)
    rows, columns = numbers["rows"], numbers["columns"]
    if min(rows, columns) < 1 or not 1 <= frames <= MOST_FRAMES:
        raise refused(Refusal.SIZE_WRONG, name, f"{columns}x{rows} pixels, {frames} frames", _SIZES)
    layout = PixelLayout(
        rows, columns, frames, samples, numbers["bits"], numbers["stored"], bool(signed), photometric, syntax
    )
    if layout.frame_bytes > MOST_FRAME_BYTES:
        raise too_large(name, f"a frame of {layout.frame_bytes} bytes", MOST_FRAME_BYTES)
    return layout


_SIZES = "sizes that fit the pixel data. Copy the file again from its source."


def syntax_of(dataset: Dataset, name: str) -> Syntax:
    """Return the transfer syntax of a data set. Use it inside :func:`silent`."""
    meta = getattr(dataset, "file_meta", None)
    uid = "" if meta is None else text(meta, "TransferSyntaxUID")
    found = SYNTAXES.get(uid)
    if found is None or not found.readable:
        expected = "a known one in file_meta. Read the data set from a DICOM file."
        raise refused(Refusal.COMPRESSION, name, "no transfer syntax that is known", expected)
    return found


def _whole(dataset: Dataset, keyword: str, default: int = 0) -> int:
    found = number(dataset, keyword)
    return default if found is None else int(found)


def _photometric(dataset: Dataset, name: str) -> Photometric:
    found = text(dataset, "PhotometricInterpretation")
    try:
        return Photometric(found)
    except ValueError:
        known = ", ".join(each.value for each in Photometric)
        raise refused(
            Refusal.PHOTOMETRIC, name, "another photometric interpretation", f"one of {known}. Convert the image."
        ) from None


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
    encoded = None
    with silent(name):
        if layout.syntax.compressed:
            encoded = _encoded(dataset, layout, index, name)
            if layout.syntax.codec is Codec.RLE:
                return _rle(encoded, layout, name)
            _check_stated_size(encoded, layout, name)
        else:
            _check_length(dataset, layout, name)
        return _decoded(dataset, layout, encoded, index, name)


def _check_length(dataset: Dataset, layout: PixelLayout, name: str) -> None:
    """Check the length of uncompressed pixel data (PS3.5 8.1.1), which is padded to an even number of bytes."""
    length = len(dataset.PixelData)
    expected = layout.frame_bytes * layout.frames
    if layout.photometric is Photometric.YBR_FULL_422:
        expected = expected // 3 * 2
    if length != expected + expected % 2:
        raise refused(Refusal.SIZE_WRONG, name, f"{length} bytes of pixels", f"{expected}: {_SIZES}")


def _encoded(dataset: Dataset, layout: PixelLayout, index: int, name: str) -> bytes:
    from pydicom.encaps import get_frame

    extended = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        extended = dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    try:
        found = get_frame(dataset.PixelData, index, number_of_frames=layout.frames, extended_offsets=extended)
        return bytes(found)
    except Exception as error:
        raise_machine_fault(error, name)
        raise refused(Refusal.SIZE_WRONG, name, f"no fragments for frame {index + 1}", _SIZES) from None


def _check_stated_size(encoded: bytes, layout: PixelLayout, name: str) -> None:
    is_2000 = layout.syntax.codec in (Codec.JPEG_2000, Codec.HTJ2K)
    stated = _jpeg_2000_size(encoded) if is_2000 else _jpeg_size(encoded)
    if stated is None or (is_2000 and not _is_whole_jpeg_2000(encoded)):
        raise refused(Refusal.DECODING, name, f"a frame that is no whole {layout.syntax.codec.value}", _WHOLE)
    if stated != (layout.columns, layout.rows, layout.samples):
        found = f"a frame of {stated[0]}x{stated[1]} pixels and {stated[2]} samples"
        raise refused(Refusal.SIZE_WRONG, name, found, f"{layout.columns}x{layout.rows} and {layout.samples}: {_SIZES}")


def _is_whole_jpeg_2000(encoded: bytes) -> bool:
    """Return whether the tile-parts of a codestream follow one another up to its end (ITU-T T.800 A.4.2, A.4.4).

    The decoders fill the rest of a truncated codestream without a word.
    """
    place = max(encoded.find(b"\xff\x4f\xff\x51", 0, 4096), 0) + 2
    while place + 12 <= len(encoded):
        marker = encoded[place : place + 2]
        if marker == b"\xff\x90":
            length = int(struct.unpack_from(">I", encoded, place + 6)[0])
            if length == 0:  # the last tile-part, up to the end
                return b"\xff\xd9" in encoded[-4:]
            place += length
        else:
            place += 2 + int(struct.unpack_from(">H", encoded, place + 2)[0])
    return encoded[place : place + 2] == b"\xff\xd9" and len(encoded) - place <= 4  # one byte pads, some write two


_WHOLE = "a whole one. Copy the file again from its source."


def _jpeg_size(encoded: bytes) -> tuple[int, int, int] | None:
    """Return width, height and components from the frame header (ITU-T T.81 B.2.2, T.87 C.2.2); None without one."""
    place = 2
    while encoded[:2] == b"\xff\xd8" and place + 9 < len(encoded) and encoded[place] == 0xFF:
        marker = encoded[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _TABLES:
            height, width, parts = struct.unpack_from(">HHB", encoded, place + 5)
            return width, height, parts
        else:
            place += 2 + int(struct.unpack_from(">H", encoded, place + 2)[0])
    return None


def _jpeg_2000_size(encoded: bytes) -> tuple[int, int, int] | None:
    """Return width, height and components from the SIZ segment (ITU-T T.800 A.5.1); None without one."""
    place = encoded.find(b"\xff\x4f\xff\x51", 0, 4096)
    if place < 0 or len(encoded) < place + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", encoded, place + 8)
    return right - left, bottom - top, struct.unpack_from(">H", encoded, place + 40)[0]


def _decoded(
    dataset: Dataset, layout: PixelLayout, encoded: bytes | None, index: int, name: str
) -> tuple[Stored, Photometric]:
    """Decode a frame; ``encoded`` is None for pixels that are not compressed."""
    from pydicom.pixels import get_decoder

    decoder: Any = get_decoder(layout.syntax.uid)
    if layout.syntax.uid == EXTENDED and layout.stored > 8:
        expected = "8 bits: no decoder for more of that process is installed. Ask the archive for a lossless copy."
        raise refused(Refusal.CODEC_MISSING, name, f"{layout.syntax.name} of {layout.stored} bits", expected)
    if not decoder.is_available:
        raise refused(
            Refusal.CODEC_MISSING,
            name,
            layout.syntax.name,
            'a decoder for it. Run: pip install "edge-predict[dicom-codecs]", or decompress the file (gdcmconv).'
            if layout.syntax.codec is not Codec.HTJ2K
            else "a syntax for which a decoder is installed. Transcode the file.",
        )
    if encoded is None:
        pixels, after = decoder.as_array(dataset, index=index)
        return _checked(pixels, layout, Photometric(after["photometric_interpretation"]), name)
    options = {
        "syntax": layout.syntax.uid,
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "photometric_interpretation": layout.photometric.value,
        **({"planar_configuration": _whole(dataset, "PlanarConfiguration", 0)} if layout.samples > 1 else {}),
    }
    try:
        found = decode_frame(encoded, options)
    except FrameError as error:
        if error.memory:
            raise_machine_fault(MemoryError(), name)
        raise refused(Refusal.DECODING, name, f"{layout.syntax.name} that cannot be decoded", _WHOLE) from None
    if found.damaged:
        raise refused(Refusal.DECODING, name, f"damaged {layout.syntax.name}", _WHOLE)
    return _checked(found.pixels, layout, Photometric(found.photometric), name)


def _checked(
    pixels: npt.NDArray[Any], layout: PixelLayout, after: Photometric, name: str
) -> tuple[Stored, Photometric]:
    """Check the decoded shape, and clear or extend the bits above the stored ones."""
    shape = (layout.rows, layout.columns) + ((3,) if layout.samples == 3 else ())
    if pixels.shape != shape or pixels.dtype.itemsize > 2 or pixels.dtype.kind not in "ui":
        raise refused(Refusal.SIZE_WRONG, name, f"decoded pixels of shape {pixels.shape}", f"{shape}: {_SIZES}")
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    pixels = pixels.view(f"{'i' if layout.signed else 'u'}{pixels.dtype.itemsize}")
    unused = 8 * pixels.dtype.itemsize - layout.stored
    if unused > 0:  # shifts of a signed type copy its sign bit
        pixels = (pixels << unused) >> unused
    return pixels, after


def _rle(encoded: bytes, layout: PixelLayout, name: str) -> tuple[Stored, Photometric]:
    """Decode RLE (PS3.5 annex G): one segment for each byte of each sample, the most significant byte first."""
    wide, size = layout.allocated // 8, layout.rows * layout.columns
    count = layout.samples * wide
    if len(encoded) < 64:
        raise refused(Refusal.DECODING, name, "an RLE frame without header", _WHOLE)
    stated, *offsets = struct.unpack_from("<16I", encoded)
    ends = [*offsets[1:count], len(encoded)]
    if stated != count or any(not 64 <= a < b <= len(encoded) for a, b in zip(offsets[:count], ends, strict=True)):
        found = f"an RLE frame of {stated} segments"
        raise refused(Refusal.DECODING, name, found, f"{count}, one after the other. {_WHOLE}")
    planes = np.empty((layout.samples, wide, size), np.uint8)
    for segment in range(count):
        data = _rle_segment(encoded[offsets[segment] : ends[segment]], size)
        if data is None:
            raise refused(Refusal.SIZE_WRONG, name, "an RLE segment of another length", f"{size} bytes: {_SIZES}")
        planes[segment // wide, wide - 1 - segment % wide] = data
    values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f"<u{wide}")[..., 0]
    pixels = values.reshape(layout.samples, layout.rows, layout.columns)
    after = layout.photometric
    joined = pixels[0] if layout.samples == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    if after in (Photometric.YBR_FULL, Photometric.YBR_FULL_422):
        from pydicom.pixels import convert_color_space

        joined, after = convert_color_space(joined, "YBR_FULL", "RGB"), Photometric.RGB
    return _checked(joined, layout, after, name)


def _rle_segment(data: bytes, size: int) -> npt.NDArray[np.uint8] | None:
    """Return the ``size`` bytes of one segment (PS3.5 G.3.2); None if it has fewer or more."""
    out, place, end = bytearray(size), 0, 0
    while end < size:
        if place >= len(data):
            return None
        head = data[place]
        place += 1
        if head < 128:
            run = data[place : place + head + 1]
            if len(run) != head + 1:
                return None
            place += head + 1
        elif head > 128:
            run = data[place : place + 1] * (257 - head)
            place += 1
        else:
            continue
        if end + len(run) > size or not run:
            return None
        out[end : end + len(run)] = run
        end += len(run)
    return np.frombuffer(out, np.uint8) if len(data) - place <= 2 else None


def is_lossy(dataset: Dataset, layout: PixelLayout, name: str) -> bool:
    """Return whether the pixels were compressed with loss, now or earlier (PS3.3 C.7.6.1.1.5)."""
    with silent(name):
        return layout.syntax.lossy or text(dataset, "LossyImageCompression") == "01" or _lossy_now(dataset)


def _lossy_now(dataset: Dataset) -> bool:
    return value(dataset, "LossyImageCompressionMethod") is not None
