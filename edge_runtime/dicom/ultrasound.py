"""The one region of an ultrasound frame that shows tissue (PS3.3 C.8.5.5, US Region Calibration Module).

The screen around it holds text, scales and the maker's frame, which change answers. Cropped to this region, an image
gives the same answer as the plain one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.dicom.dataset import number, silent, value
from edge_runtime.dicom.layout import PixelLayout
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.errors import DicomError

if TYPE_CHECKING:
    from pydicom import Dataset

_TISSUE, _FLAT, _CENTIMETRE = 1, 1, 3  # Region Data Type, Region Spatial Format 2D, Physical Units
_TWO_DIMENSIONAL = 0x0001  # of the modes in value 4 of Image Type (PS3.3 C.8.5.6.1.1)
_COLOURED, _FLOW_PX = 60, 7


@dataclass(frozen=True)
class UltrasoundRegion:
    """A rectangle of stored pixels that shows tissue.

    Attributes:
        left: first column.
        top: first row.
        right: column after the last one.
        bottom: row after the last one.
        spacing_mm: size of a pixel along y and x in millimetres; None if the region does not state it.
    """

    left: int
    top: int
    right: int
    bottom: int
    spacing_mm: tuple[float, float] | None = None


def region_of_tissue(dataset: Dataset, layout: PixelLayout, name: str) -> UltrasoundRegion:
    """Return the region.

    Raises:
        DicomError: ``dicom_regions_missing``, ``dicom_regions_several``, ``dicom_region_kind`` or
            ``dicom_region_bounds``.
    """
    with silent(name):
        items = value(dataset, "SequenceOfUltrasoundRegions")
        if items is None:
            expected = "one (Sequence of Ultrasound Regions). Set the device to store it."
            raise refused(Refusal.REGIONS_MISSING, name, "no ultrasound region", expected)
        if len(items) != 1:
            expected = "one. Store an image of one view without Doppler."
            raise refused(Refusal.REGIONS_SEVERAL, name, f"{len(items)} ultrasound regions", expected)
        item = items[0]
        kind = number(item, "RegionSpatialFormat"), number(item, "RegionDataType")
        if kind != (_FLAT, _TISSUE):
            raise not_tissue(name, "an ultrasound region of another kind")
        if number(dataset, "UltrasoundColorDataPresent") or _modes(dataset) & ~_TWO_DIMENSIONAL:
            raise not_tissue(name, "an ultrasound image with Doppler, M-mode or 3D")
        corners = [number(item, f"RegionLocation{end}") for end in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        spacing = _spacing(item)
    if any(each is None or not float(each).is_integer() for each in corners):
        raise _out_of_bounds(name)
    left, top, right, bottom = (int(each) for each in corners if each is not None)
    # Some devices write the column after the last one; the standard means the last one itself.
    right, bottom = (
        min(right + 1, layout.columns) if right == layout.columns else right + 1,
        (layout.rows if bottom == layout.rows else bottom + 1),
    )
    if not (0 <= left < right <= layout.columns and 0 <= top < bottom <= layout.rows):
        raise _out_of_bounds(name)
    return UltrasoundRegion(left, top, right, bottom, spacing)


def _modes(dataset: Dataset) -> int:
    """Return the modes in value 4 of Image Type, four hexadecimal digits; 0 if it says something else."""
    values = value(dataset, "ImageType")
    mode = str(values[3]) if values is not None and not isinstance(values, str) and len(values) > 3 else ""
    return int(mode, 16) if re.fullmatch("[0-9A-F]{4}", mode) else 0


def has_flow(pixels: npt.NDArray[np.uint8]) -> bool:
    """Return whether an image shows a colour area, as colour Doppler does; marks and callipers are no areas.

    It is a square of 7×7 pixels, in each of which one channel differs from another by 60 or more.

    Args:
        pixels: uint8 H×W or H×W×3.
    """
    if pixels.ndim == 2:
        return False
    coloured = (pixels.max(axis=2) - pixels.min(axis=2) >= _COLOURED).view(np.uint8)
    kernel = np.ones((_FLOW_PX, _FLOW_PX), np.uint8)
    return bool(cv2.erode(coloured, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0).any())


def not_tissue(name: str, found: str) -> DicomError:
    """Return the error ``dicom_region_kind``."""
    return refused(Refusal.REGION_KIND, name, found, "grey 2D tissue (1 and 1). Store a B-mode image.")


def _spacing(item: Dataset) -> tuple[float, float] | None:
    """Return the size of a pixel in millimetres, from Physical Delta in centimetres (PS3.3 C.8.5.5.1.3)."""
    units = number(item, "PhysicalUnitsXDirection"), number(item, "PhysicalUnitsYDirection")
    deltas = number(item, "PhysicalDeltaY"), number(item, "PhysicalDeltaX")
    if units != (_CENTIMETRE, _CENTIMETRE) or deltas[0] is None or deltas[1] is None:
        return None
    return abs(deltas[0]) * 10.0, abs(deltas[1]) * 10.0


def _out_of_bounds(name: str) -> Exception:
    expected = "whole pixels inside the image. Store the image again."
    return refused(Refusal.REGION_BOUNDS, name, "an ultrasound region outside the image", expected)
