"""Windows, rescaling and polarity, against the formulas of PS3.3 C.11 written down a second time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.pixels import image_of
from edge_runtime.errors import DicomError
from tests.dicom_objects import MAMMOGRAM, file_of, image, meant
from tests.dicom_specs import ANYTHING


def levels(stored: np.ndarray[Any, Any], **elements: Any) -> np.ndarray[Any, Any]:
    return image_of(read_dataset(file_of(image(stored, MAMMOGRAM, **elements))), ANYTHING).pixels


def by_the_book(value: float, centre: float, width: float, function: str) -> float:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, for one value and an output of 0 to 255."""
    if function == "SIGMOID":
        return 255 / (1 + math.exp(min(-4 * (value - centre) / width, 700)))
    if function == "LINEAR_EXACT":
        if value <= centre - width / 2:
            return 0
        return 255 if value > centre + width / 2 else ((value - centre) / width + 0.5) * 255
    if value <= centre - 0.5 - (width - 1) / 2:
        return 0
    if value > centre - 0.5 + (width - 1) / 2:
        return 255
    return ((value - (centre - 0.5)) / (width - 1) + 0.5) * 255


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("window", [(2048, 4096), (1800.5, 900), (100, 1), (600, 2), (3000, 8000)])
@pytest.mark.parametrize("rescale", [(1, 0), (0.5, -300), (-1, 4095)])
def test_a_window_is_that_of_the_standard(
    function: str, window: tuple[float, float], rescale: tuple[float, float]
) -> None:
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    (centre, width), (slope, intercept) = window, rescale
    found = levels(
        stored, BitsStored=12, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function,
        RescaleSlope=slope, RescaleIntercept=intercept,
    )  # fmt: skip
    wanted = [by_the_book(value * slope + intercept, centre, width, function) for value in range(4096)]
    assert np.abs(found.reshape(-1) - np.array(wanted)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("bits", [12, 14, 16])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_linear_window_gives_the_image_back_within_one_level(bits: int, function: str, inverted: bool) -> None:
    """An 8-bit image, stretched to more bits with a window that spans them."""
    shown = meant()
    most = (1 << bits) - 1
    values = np.round(shown * (most / 255)).astype(np.uint16)
    stored = (most - values) if inverted else values
    photometric = {"PhotometricInterpretation": "MONOCHROME1" if inverted else "MONOCHROME2"}
    found = levels(
        stored,
        BitsStored=bits,
        WindowCenter=(most + 1) / 2,
        WindowWidth=most + 1,
        VOILUTFunction=function,
        **photometric,
    )
    apart = np.abs(found.astype(int) - shown)
    print(f"{bits} bits {function}: largest {apart.max()}, mean {apart.mean():.3f}")
    assert apart.max() <= 1


def test_signed_values_and_unused_bits() -> None:
    shown = meant()
    signed = shown.astype(np.int16) - 128
    assert np.array_equal(levels(signed, WindowCenter=0, WindowWidth=256), shown)
    dirty = (shown.astype(np.uint16) << 4) | 0xF000  # bits above the stored ones carry nothing
    clean = levels((shown.astype(np.uint16) << 4), BitsStored=12, WindowCenter=2040, WindowWidth=4081)
    assert np.array_equal(levels(dirty, BitsStored=12, WindowCenter=2040, WindowWidth=4081), clean)
    assert np.array_equal(clean, shown)


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"PresentationLUTShape": "INVERSE"},
    ],
)
def test_polarity_said_once_or_twice_is_one_inversion(elements: dict[str, str]) -> None:
    shown = meant()
    assert np.array_equal(levels(255 - shown, **elements), shown)
    assert np.array_equal(levels(shown, PresentationLUTShape="IDENTITY"), shown)


def test_the_first_of_several_windows_is_used() -> None:
    shown = meant()
    several = levels(shown, WindowCenter=[128, 90], WindowWidth=[256, 60])
    assert np.array_equal(several, levels(shown, WindowCenter=128, WindowWidth=256))


def test_tables_are_applied_where_a_spec_accepts_them() -> None:
    from pydicom.dataset import Dataset

    shown = meant()
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 8], list(range(255, -1, -1))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    assert np.array_equal(levels(shown, VOILUTSequence=[table]), 255 - shown)
    table.ModalityLUTType = "US"
    found = levels(shown, ModalityLUTSequence=[table], WindowCenter=128, WindowWidth=256)
    assert np.array_equal(found, 255 - shown)
    with pytest.raises(DicomError) as caught:
        levels(shown, VOILUTSequence=[Dataset()])
    assert caught.value.code == "dicom_window_invalid"


STORED = meant(24, 30).astype(np.uint16) * 16
WINDOW = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}


@pytest.mark.parametrize(
    "vr, value, expected",
    [
        ("LO", "2048", "read"),
        ("UT", "2048", "read"),
        ("US", 2048, "read"),
        ("FD", 2048.0, "read"),
        ("OB", b"2048", "dicom_damaged"),
        ("UT", "2048\\40", "dicom_damaged"),
        ("FD", math.nan, "dicom_window_invalid"),
    ],
)
def test_the_vr_of_a_text_makes_no_other_number(vr: str, value: Any, expected: str) -> None:
    """The first character of a text was taken for its first value."""
    found = image(STORED, MAMMOGRAM, **WINDOW)
    found[0x00281050] = DataElement(0x00281050, vr, value)
    try:
        shown = image_of(read_dataset(file_of(found)), ANYTHING).pixels
    except DicomError as error:
        assert error.code == expected
    else:
        assert expected == "read" and np.array_equal(shown, levels(STORED, **WINDOW))


@pytest.mark.parametrize("keyword, value", [("Rows", 24.6), ("BitsStored", 12.7), ("HighBit", 11.2)])
def test_a_part_of_a_number_is_not_cut_off(keyword: str, value: float) -> None:
    found = image(STORED, MAMMOGRAM, **WINDOW)
    found[keyword] = DataElement(found[keyword].tag, "FD", value)
    with pytest.raises(DicomError) as caught:
        image_of(read_dataset(file_of(found)), ANYTHING)
    assert caught.value.code == "dicom_damaged"


def test_windows_need_a_width_each() -> None:
    two = {"BitsStored": 12, "WindowCenter": [2048, 40], "WindowWidth": [4096, 80]}
    assert np.array_equal(levels(STORED, **two), levels(STORED, **WINDOW))
    with pytest.raises(DicomError) as caught:
        levels(STORED, **{**two, "WindowWidth": 4096})
    assert caught.value.code == "dicom_window_invalid"


@pytest.mark.parametrize(
    "padding, limit, polarity, expected",
    [
        (0, None, "MONOCHROME2", "read"),
        (4095, None, "MONOCHROME1", "read"),
        (4095, None, "MONOCHROME2", "dicom_polarity"),
        (0, None, "MONOCHROME1", "dicom_polarity"),
        (4000, 4095, "MONOCHROME2", "dicom_polarity"),
        (4095, 4000, "MONOCHROME2", "dicom_polarity"),
        (3000, None, "MONOCHROME2", "read"),  # no pixel has it
    ],
)
def test_padding_that_would_be_bright_is_refused(padding: int, limit: int | None, polarity: str, expected: str) -> None:
    stored = STORED.copy()
    stored[stored == 3000], stored[:4] = 3001, min(padding, 4095) if padding != 3000 else 0
    more = {**WINDOW, "PixelPaddingValue": padding, "PhotometricInterpretation": polarity}
    if limit is not None:
        more["PixelPaddingRangeLimit"] = limit
    try:
        levels(stored, **more)
    except DicomError as error:
        assert error.code == expected
    else:
        assert expected == "read"


def test_padding_of_signed_pixels_may_have_the_vr_of_unsigned_ones() -> None:
    stored = STORED.astype(np.int16) - 2048
    stored[:4] = -2048
    found = image(stored, MAMMOGRAM, BitsStored=12, WindowCenter=0, WindowWidth=4096, PresentationLUTShape="INVERSE")
    found[0x00280120] = DataElement(0x00280120, "US", 65536 - 2048)
    with pytest.raises(DicomError) as caught:
        image_of(read_dataset(file_of(found)), ANYTHING)
    assert caught.value.code == "dicom_polarity"


@pytest.mark.parametrize("keyword", ["PixelValueTransformationSequence", "FrameVOILUTSequence"])
@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_grey_levels_of_a_single_frame_are_not_ignored(groups: str, keyword: str) -> None:
    found, group = image(meant(24, 30), MAMMOGRAM), Dataset()
    setattr(group, keyword, [Dataset()])
    setattr(found, groups, [Dataset(), group])
    with pytest.raises(DicomError) as caught:
        image_of(read_dataset(file_of(found)), ANYTHING)
    assert caught.value.code == "dicom_window_kind"
