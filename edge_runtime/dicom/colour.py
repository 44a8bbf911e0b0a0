"""From decoded colour to RGB of 8 bits (PS3.3 C.7.6.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.dicom_input import Photometric
from edge_runtime.dicom.dataset import silent
from edge_runtime.dicom.layout import PixelLayout, Stored
from edge_runtime.dicom.refusals import Refusal, refused

if TYPE_CHECKING:
    from pydicom import Dataset


def rgb_levels(
    pixels: Stored, after: Photometric, dataset: Dataset, layout: PixelLayout, name: str
) -> npt.NDArray[np.uint8]:
    """Return uint8 H×W×3 RGB.

    Args:
        pixels: decoded values, H×W of a palette or H×W×3.
        after: photometric interpretation after decoding.
        dataset: the object.
        layout: its layout.
        name: name in errors.

    Raises:
        DicomError: ``dicom_photometric``: a palette cannot be applied, or the channels have no 8 bits.
    """
    if after is Photometric.PALETTE:
        return _by_palette(pixels, dataset, name)
    if after is not Photometric.RGB or layout.stored != 8 or layout.signed:
        found = f"{after.value} of {layout.stored} bits"
        raise refused(Refusal.PHOTOMETRIC, name, found, "RGB of 8 bits after decoding. Convert the image.")
    return np.ascontiguousarray(pixels, np.uint8)


def _by_palette(pixels: Stored, dataset: Dataset, name: str) -> npt.NDArray[np.uint8]:
    """Look the colours up (PS3.3 C.7.9). Tables of 16 bits are shortened to their upper 8."""
    from pydicom.pixels import apply_color_lut

    with silent(name):
        try:
            found = apply_color_lut(pixels, dataset)
            bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
        except Exception:
            expected = "one as PS3.3 C.7.9 says. Convert the image to RGB."
            raise refused(Refusal.PHOTOMETRIC, name, "a palette that cannot be applied", expected) from None
    shift = 8 if bits == 16 and found.dtype.itemsize == 2 else 0
    return np.ascontiguousarray(found[..., :3] >> shift, np.uint8)
