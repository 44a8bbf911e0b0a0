"""From stored values to 256 grey levels: modality LUT, VOI, 8 bits, polarity (PS3.3 C.11, PS3.4 N.2).

Images have at most 65,536 different stored values. So the whole chain is computed in float64 for each possible value,
and the pixels are looked up. The result is the same on every processor, and no image of floats is held.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.dicom_input import Photometric, Voi
from edge_runtime.dicom.dataset import number, silent, text, value
from edge_runtime.dicom.layout import PixelLayout, Stored
from edge_runtime.dicom.lookup_tables import LookupTable, looked_up, read_table, stored_values
from edge_runtime.dicom.refusals import Refusal, refused

if TYPE_CHECKING:
    from pydicom import Dataset

Floats = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

_NEARER_TO_WHITE = 128
_FUNCTIONS = {"": Voi.LINEAR, "LINEAR": Voi.LINEAR, "LINEAR_EXACT": Voi.LINEAR_EXACT, "SIGMOID": Voi.SIGMOID}


def grey_levels(pixels: Stored, dataset: Dataset, layout: PixelLayout, accepted: tuple[Voi, ...], name: str) -> Grey:
    """Return the pixels as the modality means them to be shown: uint8 H×W, 0 black, 255 white.

    Args:
        pixels: stored values, H×W.
        dataset: the object.
        layout: its layout.
        accepted: ways from stored values to grey levels that the model accepts.
        name: name in errors.

    Raises:
        DicomError: ``dicom_window_missing``, ``dicom_window_kind``, ``dicom_window_invalid``,
            ``dicom_modality_lut`` or ``dicom_polarity``.
    """
    with silent(name):
        voi = voi_of(dataset, layout, name)
        if voi not in accepted:
            raise _not_accepted(voi, layout, accepted, name)
        inverted = is_inverted(dataset, layout, name)
        stored = stored_values(layout.stored, signed=layout.signed)
        shown = _shown(_modality(stored, dataset, layout, name), dataset, voi, layout, name)
        table = np.floor(np.clip(shown, 0.0, 255.0) + 0.5).astype(np.uint8)
        if inverted:
            table = 255 - table
        _check_padding(pixels, stored, table, dataset, name)
        return looked_up(pixels, table, int(stored[0]))


def _check_padding(pixels: Stored, stored: npt.NDArray[np.int64], table: Grey, dataset: Dataset, name: str) -> None:
    """Refuse padding (PS3.3 C.7.5.1.1.2) that would be nearer to white than to black: viewers show it black."""
    first = _padding(dataset, "PixelPaddingValue", pixels)
    last = _padding(dataset, "PixelPaddingRangeLimit", pixels)
    if first is None:
        return
    low, high = sorted((first, first if last is None else last))
    bright = (stored >= low) & (stored <= high) & (table >= _NEARER_TO_WHITE)
    if bright.any() and looked_up(pixels, bright.view(np.uint8), int(stored[0])).any():
        expected = "black. Correct polarity, window or Pixel Padding Value at the source."
        raise refused(Refusal.POLARITY, name, "padding that would be bright", expected)


def _padding(dataset: Dataset, keyword: str, pixels: Stored) -> int | None:
    """Return a value of padding as the pixels have it: its VR may say another sign than theirs."""
    found = number(dataset, keyword)
    if found is None:
        return None
    span = 1 << (8 * pixels.dtype.itemsize)
    lowest = -span // 2 if pixels.dtype.kind == "i" else 0
    return (int(found) - lowest) % span + lowest


def voi_of(dataset: Dataset, layout: PixelLayout, name: str) -> Voi:
    """Return how the object's values become grey levels. Use it inside :func:`silent`."""
    if _has_levels_by_frame(dataset):
        expected = "one for the whole object. Export the frame as an image of its own."
        raise refused(Refusal.WINDOW_KIND, name, "a window or rescale for each frame", expected)
    if value(dataset, "VOILUTSequence") is not None:
        return Voi.LUT
    if value(dataset, "WindowCenter") is not None or value(dataset, "WindowWidth") is not None:
        found = _FUNCTIONS.get(text(dataset, "VOILUTFunction").upper())
        if found is None:
            raise refused(
                Refusal.WINDOW_KIND, name, "a VOI LUT function that is not known", "LINEAR. Export the image again."
            )
        return found
    return Voi.NONE


def _has_levels_by_frame(dataset: Dataset) -> bool:
    """Return whether functional groups state grey levels (PS3.3 C.7.6.16.2.9 and C.7.6.16.2.10)."""
    return any(
        value(group, keyword) is not None
        for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        for group in value(dataset, groups) or ()
        for keyword in ("PixelValueTransformationSequence", "FrameVOILUTSequence")
    )


def _not_accepted(voi: Voi, layout: PixelLayout, accepted: tuple[Voi, ...], name: str) -> Exception:
    allowed = " or ".join(each.value for each in accepted)
    if voi is Voi.NONE:
        found = f"{layout.stored} bits without a window"
        expected = f"one ({allowed}). Set Window Center and Width as readers use them."
        return refused(Refusal.WINDOW_MISSING, name, found, expected)
    expected = f"{allowed}. Ask the site for objects with such a window; another changes decisions."
    return refused(Refusal.WINDOW_KIND, name, f"the VOI {voi.value}", expected)


def is_inverted(dataset: Dataset, layout: PixelLayout, name: str) -> bool:
    """Return whether the lowest value is white. Use it inside :func:`silent`.

    MONOCHROME1 and Presentation LUT Shape INVERSE say the same thing, once or twice (PS3.3 C.8.11.3.1.2, C.11.6).
    """
    shape, first = text(dataset, "PresentationLUTShape"), layout.photometric is Photometric.MONOCHROME1
    if shape not in ("", "IDENTITY", "INVERSE") or value(dataset, "PresentationLUTSequence") is not None:
        expected = "IDENTITY or INVERSE. Export the image again."
        raise refused(Refusal.POLARITY, name, "a presentation LUT of another shape", expected)
    if first and shape == "IDENTITY":
        expected = "MONOCHROME1 with INVERSE, or MONOCHROME2 with IDENTITY. Correct the object."
        raise refused(Refusal.POLARITY, name, "MONOCHROME1 with Presentation LUT Shape IDENTITY", expected)
    return first or shape == "INVERSE"


def _modality(stored: npt.NDArray[np.int64], dataset: Dataset, layout: PixelLayout, name: str) -> Floats:
    """Apply Rescale Slope and Intercept, or the Modality LUT Sequence (PS3.3 C.11.1)."""
    if value(dataset, "ModalityLUTSequence") is not None:
        try:
            item = dataset.ModalityLUTSequence[0]
            return _table(item, layout, signed=layout.signed, full=False).of(stored).astype(np.float64)
        except Exception:
            expected = "one as PS3.3 C.11.1 says. Export the image again."
            raise refused(Refusal.MODALITY_LUT, name, "a Modality LUT that cannot be applied", expected) from None
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope != 0.0):
        expected = "finite numbers, and a slope that is not 0. Correct the object."
        raise refused(Refusal.MODALITY_LUT, name, "a rescale slope or intercept that cannot be used", expected)
    return np.asarray(stored * slope + intercept, np.float64)


def _shown(values: Floats, dataset: Dataset, voi: Voi, layout: PixelLayout, name: str) -> Floats:
    """Return levels 0..255 of modality values (PS3.3 C.11.2.1)."""
    if voi is Voi.LUT:
        return _by_table(values, dataset, layout, name)
    if voi is Voi.NONE:
        if values[0] != 0.0 or values[-1] != 255.0 or len(values) != 256:
            expected = "8 bits that are used as they are, or a window. Set Window Center and Width."
            raise refused(Refusal.WINDOW_MISSING, name, "values without a window", expected)
        return values
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    least = 1.0 if voi is Voi.LINEAR else 0.0
    if centre is None or width is None or not (math.isfinite(centre) and math.isfinite(width)):
        raise refused(Refusal.WINDOW_INVALID, name, "half a window", "Window Center and Width. Correct the object.")
    if _count(dataset, "WindowCenter") != _count(dataset, "WindowWidth"):
        expected = "as many widths as centres. Correct the object."
        raise refused(Refusal.WINDOW_INVALID, name, "windows without centre or width", expected)
    if width < least or (width == 0.0):
        expected = f"a width of {least:g} or more, above 0. Correct the object."
        raise refused(Refusal.WINDOW_INVALID, name, "a window without width", expected)
    return _windowed(values, voi, centre, width)


def _count(dataset: Dataset, keyword: str) -> int:
    return int(dataset[keyword].VM)


def _windowed(values: Floats, voi: Voi, centre: float, width: float) -> Floats:
    if voi is Voi.SIGMOID:
        return np.asarray(255.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700.0, 700.0))), np.float64)
    if voi is Voi.LINEAR_EXACT:
        return ((values - centre) / width + 0.5) * 255.0
    if width == 1.0:
        return np.where(values > centre - 0.5, 255.0, 0.0)
    return ((values - (centre - 0.5)) / (width - 1.0) + 0.5) * 255.0


def _table(item: Dataset, layout: PixelLayout, *, signed: bool, full: bool) -> LookupTable:
    return read_table(item, "LUTDescriptor", "LUTData", signed=signed, little=layout.syntax.little, full=full)


def _by_table(values: Floats, dataset: Dataset, layout: PixelLayout, name: str) -> Floats:
    try:
        table = _table(dataset.VOILUTSequence[0], layout, signed=bool(values.min() < 0.0), full=True)
        return np.asarray(table.of(values) * (255.0 / ((1 << table.bits) - 1)), np.float64)
    except Exception:
        expected = "one as PS3.3 C.11.2 says. Export the image again."
        raise refused(Refusal.WINDOW_INVALID, name, "a VOI LUT that cannot be applied", expected) from None
