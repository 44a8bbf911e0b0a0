"""From decoded colour to RGB of 8 bits (PS3.3 C.7.6.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.dicom_input import Photometric
from edge_runtime.dicom.dataset import silent
from edge_runtime.dicom.layout import PixelLayout, Stored
from edge_runtime.dicom.lookup_tables import looked_up, read_table, stored_values
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.platform.machine_faults import raise_machine_fault

if TYPE_CHECKING:
    from pydicom import Dataset


_LOOKED_AT_ROWS = 256
_NEAR = 4.0  # levels: rounding, and chroma of half the resolution


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
        return _by_palette(pixels, dataset, layout, name)
    if after is not Photometric.RGB or layout.stored != 8 or layout.signed:
        found = f"{after.value} of {layout.stored} bits"
        raise refused(Refusal.PHOTOMETRIC, name, found, "RGB of 8 bits after decoding. Convert the image.")
    if _is_mislabelled(pixels[:: max(len(pixels) // _LOOKED_AT_ROWS, 1)], layout.photometric):
        expected = "the one of its pixels. Correct the object at its source."
        raise refused(Refusal.PHOTOMETRIC, name, f"a wrong {layout.photometric.value}", expected)
    return np.ascontiguousarray(pixels, np.uint8)


def _is_mislabelled(shown: Stored, stated: Photometric) -> bool:
    """Return whether most pixels are grey in the other colour space, and none of them in the stated one.

    Nearly all pixels of ultrasound are grey: R = G = B, or chroma 128. RGB that was taken for YBR has a luminance equal
    to its chroma; YBR that was taken for RGB has G = B = 128.
    """
    known: npt.NDArray[np.bool_]
    red, green, blue = (shown[..., channel].astype(np.float32) for channel in range(3))
    if stated is Photometric.RGB:
        first, others = red, (green - 128, blue - 128)
        known = np.full(first.shape, True)
    elif stated in (Photometric.YBR_FULL, Photometric.YBR_FULL_422):
        first = 0.299 * red + 0.587 * green + 0.114 * blue  # T.871, 7
        others = (blue - first) / 1.772 + 128 - first, (red - first) / 1.402 + 128 - first
        known = np.all((shown > 0) & (shown < 255), axis=-1)  # the others were cut off
    else:
        return False
    wrong = known & (np.abs(others[0]) <= _NEAR) & (np.abs(others[1]) <= _NEAR)
    return bool(2 * wrong.sum() > known.sum() > 0 and first[wrong].std() > 2 * _NEAR)


def _by_palette(pixels: Stored, dataset: Dataset, layout: PixelLayout, name: str) -> npt.NDArray[np.uint8]:
    """Look the colours up (PS3.3 C.7.9). Tables of more than 8 bits are shortened to their upper 8."""
    with silent(name):
        try:
            if "SegmentedRedPaletteColorLookupTableData" in dataset:
                return _by_segments(pixels, dataset, layout)
            channels = [
                read_table(
                    dataset,
                    f"{colour}PaletteColorLookupTableDescriptor",
                    f"{colour}PaletteColorLookupTableData",
                    signed=layout.signed,
                    little=layout.syntax.little,
                )
                for colour in ("Red", "Green", "Blue")
            ]
            stored = stored_values(layout.stored, signed=layout.signed)
            colours = [(table.of(stored) >> (table.bits - 8)).astype(np.uint8) for table in channels]
            return looked_up(pixels, np.stack(colours, -1), int(stored[0]))
        except Exception as error:
            raise_machine_fault(error, name)
            expected = "one as PS3.3 C.7.9 says. Convert the image to RGB."
            raise refused(Refusal.PHOTOMETRIC, name, "a palette that cannot be applied", expected) from None


def _by_segments(pixels: Stored, dataset: Dataset, layout: PixelLayout) -> npt.NDArray[np.uint8]:
    """Look colours up in tables that are written in segments (PS3.3 C.7.9.2)."""
    from pydicom.pixels import apply_color_lut

    count, _, bits = (int(each) for each in dataset.RedPaletteColorLookupTableDescriptor)
    if bits == 8 and (not layout.syntax.little or not 0 < count <= 256):
        raise ValueError("pydicom cuts input values to 8 bits, and does not swap bytes in words")
    return np.ascontiguousarray(apply_color_lut(pixels, dataset)[..., :3] >> (bits - 8), np.uint8)
