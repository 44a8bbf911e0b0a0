"""The size of a pixel in millimetres, and images scaled to the size that a model is made for.

Pixel spacing that is ignored changes decisions, and none of them is referred. So a model that depends on it states it
(``spacing_mm``), and the image is brought to it before anything else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_runtime.dicom.dataset import number, silent, value
from edge_runtime.dicom.refusals import Refusal, refused

if TYPE_CHECKING:
    from pydicom import Dataset

Levels = npt.NDArray[np.uint8]

NOT_SQUARE = 0.01
"""Largest difference between the two spacings of an image, as a share."""

COARSER = 0.10
"""Largest share by which an image's spacing may exceed the model's. More would invent tissue."""

SMALLEST_MM, LARGEST_MM = 0.005, 10.0
_LARGEST_MAGNIFICATION = 10.0
_PARTS = 1 << 12  # positions are rounded to this part of a pixel, so that sums of whole numbers are exact


def spacing_of(dataset: Dataset, region_mm: tuple[float, float] | None, name: str) -> float:
    """Return the size of a pixel in the patient, in millimetres.

    It is that of the ultrasound region if there is one, else Pixel Spacing, else Imager Pixel Spacing divided by the
    Estimated Radiographic Magnification Factor, which is 1 if the object does not state it (PS3.3 10.7.1.3, C.8.11.4).
    A Pixel Spacing that repeats Imager Pixel Spacing is not corrected for magnification (PS3.3 10.7.1.1), so it is
    divided, too.

    Raises:
        DicomError: ``dicom_spacing_missing`` or ``dicom_spacing_wrong``.
    """
    with silent(name):
        found, of_detector = _stated(dataset, region_mm)
        factor = number(dataset, "EstimatedRadiographicMagnificationFactor")
        if found is not None and of_detector and factor is not None:
            if not (math.isfinite(factor) and 1.0 <= factor <= _LARGEST_MAGNIFICATION):
                raise _wrong(name, "a magnification factor that cannot be", "1 to 10")
            found = found[0] / factor, found[1] / factor
    if found is None:
        expected = "Pixel Spacing or Imager Pixel Spacing. The model depends on it; store it with the image."
        raise refused(Refusal.SPACING_MISSING, name, "no pixel spacing", expected)
    if not all(math.isfinite(each) and SMALLEST_MM <= each <= LARGEST_MM for each in found):
        raise _wrong(name, "a pixel spacing that cannot be", f"{SMALLEST_MM:g} to {LARGEST_MM:g} mm")
    return (found[0] + found[1]) / 2


def _stated(dataset: Dataset, region_mm: tuple[float, float] | None) -> tuple[tuple[float, float] | None, bool]:
    """Return the spacing that an object states, and whether it is that of the detector."""
    patient, detector = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    found = region_mm or patient or detector
    return found, region_mm is None and found == detector


def check_square(dataset: Dataset, region_mm: tuple[float, float] | None, name: str) -> None:
    """Refuse an image whose pixels are not square within 1 %: tissue would be distorted.

    The spacing says so, or Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7).

    Args:
        dataset: the object.
        region_mm: spacing of the ultrasound region; None if there is none.
        name: name in errors.

    Raises:
        DicomError: ``dicom_spacing_wrong``.
    """
    with silent(name):
        ratio, (spacing, _) = _pair(dataset, "PixelAspectRatio"), _stated(dataset, region_mm)
    if ratio is not None and min(ratio) <= 0:
        raise _wrong(name, "a Pixel Aspect Ratio that cannot be", "1 and 1")
    for found in (ratio, spacing):
        if found is not None and not abs(found[0] - found[1]) <= NOT_SQUARE * max(found):
            raise _wrong(name, "pixels that are not square", "equal spacing along rows and columns")


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    found = value(dataset, keyword)
    if found is None:
        return None
    if isinstance(found, str) or not hasattr(found, "__len__") or len(found) != 2:
        raise ValueError("expected two numbers")
    return float(found[0]), float(found[1])


def _wrong(name: str, found: str, expected: str) -> Exception:
    return refused(Refusal.SPACING_WRONG, name, found, f"{expected}. Correct the object, or use another image.")


def at_spacing(pixels: Levels, spacing_mm: float, wanted_mm: float, name: str) -> Levels:
    """Return an image with pixels of ``wanted_mm``.

    Each new pixel is the mean of the area that it covers, computed in whole numbers: the same on every processor. If
    the spacing is the model's within 0.1 %, the image is returned as it is.

    Args:
        pixels: uint8 H×W or H×W×3.
        spacing_mm: size of its pixels in millimetres.
        wanted_mm: size that the model is made for.
        name: name in errors.

    Raises:
        DicomError: ``dicom_spacing_wrong``: the pixels are more than 10 % larger than the model's.
    """
    if abs(spacing_mm - wanted_mm) <= 0.001 * wanted_mm:
        return pixels
    if spacing_mm > wanted_mm * (1.0 + COARSER) * (1.0 + 1e-9):
        expected = f"at most {wanted_mm:g} mm and {COARSER:.0%} more: enlarging would invent tissue"
        raise _wrong(name, f"pixels of {spacing_mm:.4g} mm", expected)
    height, width = pixels.shape[:2]
    rows, columns = (max(round(side * spacing_mm / wanted_mm), 1) for side in (height, width))
    return reduced(pixels, rows, columns)


def reduced(pixels: Levels, rows: int, columns: int) -> Levels:
    """Return the image at another size, by means over areas.

    Args:
        pixels: uint8 H×W or H×W×3, at most 2**26 pixels.
        rows: new height.
        columns: new width.
    """
    high, wide = _edges(pixels.shape[0], rows), _edges(pixels.shape[1], columns)
    found = np.empty((rows, columns, *pixels.shape[2:]), np.uint8)
    across = np.diff(wide).reshape((-1,) + (1,) * (pixels.ndim - 2))
    for row in range(rows):
        line = _between(pixels, int(high[row]), int(high[row + 1]))
        sums = np.concatenate((np.zeros_like(line[:1]), np.cumsum(line, axis=0)))
        whole, part = np.divmod(wide, _PARTS)
        shape = (-1,) + (1,) * (pixels.ndim - 2)
        within = line[np.minimum(whole, len(line) - 1)] * part.reshape(shape)
        area = across * (high[row + 1] - high[row])
        found[row] = (2 * np.diff(sums[whole] * _PARTS + within, axis=0) + area) // (2 * area)
    return found


def _edges(length: int, size: int) -> npt.NDArray[np.int64]:
    """Return the ends of ``size`` equal parts of a side, in parts of a pixel."""
    return np.array([round(each * length * _PARTS / size) for each in range(size + 1)], np.int64)


def _between(pixels: Levels, start: int, end: int) -> npt.NDArray[np.int64]:
    """Return the sum of the rows from ``start`` to ``end``, both in parts of a pixel, times the number of parts."""
    first, last = start // _PARTS, min((end - 1) // _PARTS, len(pixels) - 1)
    total = pixels[first : last + 1].sum(axis=0, dtype=np.int64) * _PARTS
    total -= pixels[first].astype(np.int64) * (start - first * _PARTS)
    return np.asarray(total - pixels[last].astype(np.int64) * ((last + 1) * _PARTS - end), np.int64)
