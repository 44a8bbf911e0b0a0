"""The Image Pixel Module of an object (PS3.3 C.7.6.3): what its elements say of the pixels, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.dicom_input import Photometric
from edge_runtime.dicom.dataset import number, silent, text, value
from edge_runtime.dicom.guard import too_large
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.syntaxes import SYNTAXES, Syntax

if TYPE_CHECKING:
    from pydicom import Dataset

Stored = npt.NDArray[np.uint8 | np.int8 | np.uint16 | np.int16]

MOST_FRAME_BYTES = 64 << 20
"""Largest decoded frame: mammograms of 33 million pixels. Decoders hold a frame up to five times."""

MOST_FRAMES = 100_000
SIZES = "sizes that fit the pixel data. Copy the file again from its source."
"""What is expected where a size is wrong, and what to do."""

_COLOURED = {"COLOR", "MIXED", "TRUE_COLOR"}  # Pixel Presentation (PS3.3 C.8.16.2)
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
        samples = _whole(dataset, "SamplesPerPixel")
        signed = _whole(dataset, "PixelRepresentation", -1)
        high = _whole(dataset, "HighBit", numbers["stored"] - 1)
        photometric, presentation = _photometric(dataset, name), text(dataset, "PixelPresentation")
        syntax = syntax_of(dataset, name)
        planar = _whole(dataset, "PlanarConfiguration", 0 if syntax.compressed else -1)
        has_overlay = any(
            dataset.get((group, 0x0102)) is not None and int(dataset[group, 0x0102].value or 0) > 0
            for group in range(0x6000, 0x6020, 2)
        )
    if numbers["bits"] == 1:
        raise refused(Refusal.ONE_BIT, name, "pixels of 1 bit", "8 to 16 bits. Name the image that they belong to.")
    if numbers["bits"] not in (8, 16) or not 2 <= numbers["stored"] <= numbers["bits"] or high != numbers["stored"] - 1:
        found = f"{numbers['bits']} bits allocated, {numbers['stored']} stored, the highest at {high}"
        raise refused(Refusal.BITS, name, found, "8 or 16 allocated, stored from bit 0. Store the image again.")
    if signed not in (0, 1):
        raise refused(Refusal.BITS, name, "no valid Pixel Representation", "0 or 1. Store the image again.")
    if samples != (1 if photometric.is_grey or photometric is Photometric.PALETTE else 3):
        expected = "1 of grey, 3 of colour. Store the image again."
        raise refused(Refusal.PHOTOMETRIC, name, f"{samples} samples in {photometric.value}", expected)
    if samples == 3 and planar not in (0, 1):
        expected = "0 or 1. Store the image again."
        raise refused(Refusal.PHOTOMETRIC, name, "colour without a valid Planar Configuration", expected)
    if photometric.is_grey and presentation in _COLOURED:
        expected = "grey alone. Store the image without colours."
        raise refused(Refusal.PHOTOMETRIC, name, "grey pixels that a palette colours", expected)
    if has_overlay:
        expected = "pixels alone. Remove the overlay, or store it as Overlay Data."
        raise refused(Refusal.OVERLAY, name, "an overlay in the bits of the pixels", expected)
    rows, columns = numbers["rows"], numbers["columns"]
    if min(rows, columns) < 1 or not 1 <= frames <= MOST_FRAMES:
        raise refused(Refusal.SIZE_WRONG, name, f"{columns}x{rows} pixels, {frames} frames", SIZES)
    layout = PixelLayout(
        rows, columns, frames, samples, numbers["bits"], numbers["stored"], bool(signed), photometric, syntax
    )
    if layout.frame_bytes > MOST_FRAME_BYTES:
        raise too_large(name, f"a frame of {layout.frame_bytes} bytes", MOST_FRAME_BYTES)
    return layout


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
    if found is not None and not found.is_integer():
        raise ValueError("expected a whole number")
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


def is_lossy(dataset: Dataset, layout: PixelLayout, name: str) -> bool:
    """Return whether the pixels were compressed with loss, now or earlier (PS3.3 C.7.6.1.1.5)."""
    with silent(name):
        return layout.syntax.lossy or text(dataset, "LossyImageCompression") not in ("", "00") or _lossy_now(dataset)


def _lossy_now(dataset: Dataset) -> bool:
    return value(dataset, "LossyImageCompressionMethod") is not None
