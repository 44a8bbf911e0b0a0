"""Modality LUT, VOI LUT and palettes of every form that the standard and devices know, against the table itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.pixels import image_of
from edge_runtime.errors import DicomError
from tests.dicom_objects import BIG_ENDIAN, EXPLICIT, MAMMOGRAM, file_of, image, meant
from tests.dicom_specs import ANYTHING

GREY = meant(24, 30)
UNSIGNED = GREY.astype(np.uint16) * 16
SIGNED = GREY.astype(np.int16) * 16 - 2048
TO_8_BITS = np.arange(4096) // 16
TRACKS = [np.roll(np.arange(256), 17 * each) for each in range(3)]
COLOURS = np.stack([each[GREY] for each in TRACKS], -1)


def shown(dataset: Dataset, syntax: str = EXPLICIT) -> np.ndarray[Any, Any]:
    return image_of(read_dataset(file_of(dataset, syntax)), ANYTHING).pixels


def code(dataset: Dataset) -> str:
    with pytest.raises(DicomError) as caught:
        shown(dataset)
    return caught.value.code


def packed(entries: np.ndarray[Any, Any], form: str, order: str = "<") -> Any:
    """Entries as words (OW or US), or as bytes in words."""
    if form == "US":
        return [int(each) for each in entries]
    if form == "bytes":
        return entries.astype(np.uint8).view("<u2").astype(f"{order}u2").tobytes()
    return entries.astype(f"{order}u2").tobytes()


def with_table(
    keyword: str, descriptor: list[int], data: Any, vr: str = "US", pixels: np.ndarray[Any, Any] = UNSIGNED, **more: Any
) -> Dataset:
    found, item = image(pixels, MAMMOGRAM, BitsStored=12, **more), Dataset()
    item.add_new(0x00283002, vr, descriptor)
    item.add_new(0x00283006, "US" if isinstance(data, list) else "OW", data)
    if keyword == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
        found.WindowCenter, found.WindowWidth = 128, 256
    setattr(found, keyword, [item])
    return found


@pytest.mark.parametrize("syntax, order", [(EXPLICIT, "<"), (BIG_ENDIAN, ">")])
@pytest.mark.parametrize("form", ["OW", "US", "bytes"])
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_table_of_8_bits_is_looked_up_for_values_of_12(keyword: str, form: str, syntax: str, order: str) -> None:
    found = with_table(keyword, [4096, 0, 8], packed(TO_8_BITS, form, order))
    assert np.array_equal(shown(found, syntax), GREY)


@pytest.mark.parametrize("syntax, order", [(EXPLICIT, "<"), (BIG_ENDIAN, ">")])
@pytest.mark.parametrize("bits, factor", [(10, 4), (12, 16), (16, 257)])
def test_the_largest_entry_of_a_voi_is_white(bits: int, factor: int, syntax: str, order: str) -> None:
    largest = (1 << bits) - 1
    entries = np.minimum(TO_8_BITS * factor + factor // 2, largest)
    found = with_table("VOILUTSequence", [4096, 0, bits], packed(entries, "OW", order))
    expected = np.floor(entries[UNSIGNED] * 255 / largest + 0.5)
    assert np.array_equal(shown(found, syntax), expected)


@pytest.mark.parametrize("vr, first", [("SS", -2048), ("US", 65536 - 2048)])
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_the_first_value_of_signed_pixels_is_negative(keyword: str, vr: str, first: int) -> None:
    found = with_table(keyword, [4096, first, 8], packed(TO_8_BITS, "OW"), vr, SIGNED)
    assert np.array_equal(shown(found), GREY)


def test_a_voi_follows_the_rescale() -> None:
    more = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    found = with_table("VOILUTSequence", [4096, -1024, 8], packed(TO_8_BITS, "OW"), "SS", **more)
    assert np.array_equal(shown(found), GREY)


def test_values_outside_a_table_have_its_first_or_last_entry() -> None:
    found = with_table("VOILUTSequence", [2048, 1024, 8], packed(TO_8_BITS[1024:3072], "OW"))
    assert np.array_equal(shown(found), TO_8_BITS[np.clip(UNSIGNED, 1024, 3071)])


@pytest.mark.parametrize(
    "descriptor, entries",
    [
        ([4096, 0, 16], TO_8_BITS),  # 8 bits in a table of 16: nearly black
        ([4096, 0, 8], np.arange(4096)),  # entries of more bits than stated
        ([4096, 0, 8], TO_8_BITS[:4000]),
        ([4000, 0, 8], TO_8_BITS),
        ([4096, 0, 32], TO_8_BITS),
        ([4096, 0], TO_8_BITS),
    ],
)
def test_a_table_that_contradicts_its_descriptor_is_refused(descriptor: list[int], entries: Any) -> None:
    assert code(with_table("VOILUTSequence", descriptor, packed(entries, "OW"))) == "dicom_window_invalid"


def test_a_modality_table_of_16_bits_may_use_few_of_them() -> None:
    assert np.array_equal(shown(with_table("ModalityLUTSequence", [4096, 0, 16], packed(TO_8_BITS, "OW"))), GREY)
    broken = with_table("ModalityLUTSequence", [4000, 0, 16], packed(TO_8_BITS, "OW"))
    assert code(broken) == "dicom_modality_lut"


def palette(bits: int, factor: int, form: str = "OW", order: str = "<", **more: Any) -> Dataset:
    found = image(GREY, PhotometricInterpretation="PALETTE COLOR", **more)
    for colour, track in zip(("Red", "Green", "Blue"), TRACKS, strict=True):
        name = f"{colour}PaletteColorLookupTable"
        setattr(found, f"{name}Descriptor", [256, 0, bits])
        found[f"{name}Descriptor"].VR = "US"
        setattr(found, f"{name}Data", packed(track * factor, form, order))
    return found


@pytest.mark.parametrize("syntax, order", [(EXPLICIT, "<"), (BIG_ENDIAN, ">")])
@pytest.mark.parametrize("bits, factor, form", [(8, 1, "OW"), (8, 1, "bytes"), (10, 4, "OW"), (16, 256, "OW")])
def test_a_palette_is_looked_up(bits: int, factor: int, form: str, syntax: str, order: str) -> None:
    assert np.array_equal(shown(palette(bits, factor, form, order), syntax), COLOURS)


def test_palettes_that_cannot_be_applied_are_refused() -> None:
    short = palette(16, 256)
    short.GreenPaletteColorLookupTableDescriptor = [255, 0, 16]
    missing = palette(16, 256)
    del missing.BluePaletteColorLookupTableData
    for each in (palette(16, 1), short, missing):
        assert code(each) == "dicom_photometric"


def test_segments_of_bytes_in_big_endian_words_are_refused() -> None:
    found = palette(8, 1)
    for colour, track in zip(("Red", "Green", "Blue"), TRACKS, strict=True):
        delattr(found, f"{colour}PaletteColorLookupTableData")
        segment = bytes([0, 128, *track[:128], 0, 128, *track[128:]])
        setattr(found, f"Segmented{colour}PaletteColorLookupTableData", segment)
    assert np.array_equal(shown(found), COLOURS)
    with pytest.raises(DicomError, match="palette"):
        shown(found, BIG_ENDIAN)


def test_grey_pixels_that_a_palette_colours_are_refused() -> None:
    found = image(GREY, PixelPresentation="COLOR")
    assert code(found) == "dicom_photometric"
    assert np.array_equal(shown(image(GREY, PixelPresentation="MONOCHROME")), GREY)
