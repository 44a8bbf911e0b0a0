"""A region is cut exactly as plain padding would, has one name, and is refused by name where it makes no sense."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ImageRegionError, ManifestError, RegionError, UsageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import (
    MOST_PX,
    Region,
    RegionCrop,
    check_asked,
    crop,
    cut,
    region_name,
    split_name,
    spread_of,
)
from edge_runtime.serialisation.records import canonical_json, from_dict, to_dict

RULE = RegionCrop(margin=1.5, least_half_px=24.0)
NUMBERS = st.floats(-1e7, 1e7)
RADII = st.floats(1e-3, 1e6)


def image(width: int, height: int, colour: bool = False, deep: bool = False) -> DecodedImage:
    """Noise without a zero, so that what was filled up can be told from what was cut."""
    shape = (height, width, 3) if colour else (height, width)
    most, kind = (65535, np.uint16) if deep else (255, np.uint8)
    pixels = np.random.default_rng(width * height).integers(1, most + 1, shape).astype(kind)
    return DecodedImage("film.pgm", pixels, ColourOrder.BGR if colour else ColourOrder.GREY)


def half_to_even(value: Fraction) -> int:
    """Round by hand, in exact fractions."""
    low = math.floor(value)
    rest = value - low
    return low + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1))


def padded_cut(pixels: np.ndarray, region: Region, rule: RegionCrop) -> np.ndarray:
    """The oracle: pad the whole image with zeros on all sides, then slice."""
    half = max(rule.margin * region.radius, rule.least_half_px)
    x, y, side = (half_to_even(Fraction(v)) for v in (region.x - half, region.y - half, 2 * half))
    around = side + 1
    pad = [(around, around), (around, around), *[(0, 0)] * (pixels.ndim - 2)]
    padded = np.pad(pixels, pad, constant_values=0)
    return padded[y + around : y + around + side, x + around : x + around + side]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.integers(20, 60),
    st.integers(20, 60),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.5, 60),
    st.sampled_from([0.5, 1.0, 1.5, 2.25]),
    st.sampled_from([10.0, 12.5, 24.0]),
    st.booleans(),
    st.booleans(),
)
def test_a_cut_is_the_padded_images_slice(
    width: int, height: int, u: float, v: float, radius: float, margin: float, least: float, colour: bool, deep: bool
) -> None:
    whole = image(width, height, colour, deep)
    region, rule = Region(u * (width - 1), v * (height - 1), radius), RegionCrop(margin, least)
    found = crop(whole, region, rule)
    np.testing.assert_array_equal(found.pixels, padded_cut(whole.pixels, region, rule))
    assert (found.pixels.dtype, found.order) == (whole.pixels.dtype, whole.order)
    assert found.name == f"film.pgm@{region}"


@pytest.mark.parametrize(
    ("region", "square"),
    [
        (Region(535, 598, 197), (240, 302, 591)),  # 535 - 295.5 = 239.5 goes up to even, 598 - 295.5 = 302.5 down
        (Region(100, 100, 3), (76, 76, 48)),  # the least half
        (Region(0, 0, 17), (-26, -26, 51)),  # -25.5 to even
        (Region(30.25, 30.75, 20), (0, 1, 60)),
    ],
)
def test_the_square_is_rounded_to_the_even_number(region: Region, square: tuple[int, int, int]) -> None:
    assert RULE.square(region) == square


def test_a_cut_inside_is_a_copy_of_the_very_pixels() -> None:
    whole = image(100, 90)
    before = whole.pixels.copy()
    found = crop(whole, Region(50, 45, 16), RULE)
    np.testing.assert_array_equal(found.pixels, before[21:69, 26:74])
    found.pixels[:] = 0
    np.testing.assert_array_equal(whole.pixels, before)


def test_what_lies_outside_is_zero_and_nothing_else_is() -> None:
    found = crop(image(100, 90), Region(0, 89, 16), RULE).pixels
    assert found.shape == (48, 48)
    assert (found[:, :24] == 0).all()
    assert (found[25:] == 0).all()
    assert (found[:25, 24:] > 0).all()


@pytest.mark.parametrize("region", [Region(-1, 5, 9), Region(5, -0.5, 9), Region(99.5, 5, 9), Region(5, 90, 9)])
def test_a_centre_outside_the_image_is_refused(region: Region) -> None:
    with pytest.raises(ImageRegionError, match=r"x in 0\.\.99 and y in 0\.\.89") as caught:
        crop(image(100, 90), region, RULE)
    assert caught.value.code == "image_region_outside"
    assert caught.value.message.startswith(f"film.pgm@{region}: ")


@pytest.mark.parametrize(
    ("region", "rule", "says"),
    [
        (Region(50, 50, 3.7), RegionCrop(1.0, 0.0), "7x7 px"),
        (Region(0, 50, 7), RegionCrop(1.0, 0.0), "7x14 px"),  # 14 px wide, half of them outside
    ],
)
def test_fewer_than_8_px_of_the_image_are_refused(region: Region, rule: RegionCrop, says: str) -> None:
    with pytest.raises(ImageRegionError, match=says) as caught:
        crop(image(100, 90), region, rule)
    assert caught.value.code == "image_region_too_small"
    assert crop(image(100, 90), Region(50, 50, 4), rule).pixels.shape == (8, 8)


@pytest.mark.parametrize("radius", [MOST_PX / 2 / 1.5 + 1, 1e300])
def test_a_square_that_memory_cannot_hold_is_refused(radius: float) -> None:
    with pytest.raises(ImageRegionError, match="at most 8000 px") as caught:
        crop(image(100, 90), Region(50, 50, radius), RULE)
    assert caught.value.code == "image_region_too_large"


@pytest.mark.parametrize("numbers", [(1, 2, 0), (1, 2, -3), (math.nan, 2, 3), (1, math.inf, 3), (1, 2, math.inf)])
def test_numbers_that_are_no_circle_are_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(RegionError, match="all finite and the radius above 0") as caught:
        Region(*numbers)
    assert (caught.value.code, caught.value.exit_code) == ("region_invalid", 2)


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "1;2;3", "a,2,3", "nan,2,3", "1,2,inf", "0x1,2,3", "1_0,2,3"])
def test_text_that_is_no_region_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(RegionError, match=r"three numbers of pixels, such as 535,598,197"):
        Region.parse(text)


@pytest.mark.parametrize("text", ["1,2,1e999", "1,2,0", "1,2,-5"])
def test_text_of_three_numbers_that_are_no_circle_is_refused(text: str) -> None:
    with pytest.raises(RegionError, match="radius above 0"):
        Region.parse(text)


@pytest.mark.parametrize("text", ["535,598,197", " 535 , 598.0,1.97e2 ", "+535,598.,197"])
def test_text_is_read_as_numbers(text: str) -> None:
    assert Region.parse(text) == Region(535, 598, 197) == Region.of((535, 598, 197))


@pytest.mark.parametrize("given", [(1, 2), (1, 2, 3, 4), "1,2,3", ("1", "2", "3"), (1, 2, None)])
def test_what_is_no_triple_of_numbers_is_refused(given: object) -> None:
    with pytest.raises(RegionError, match=r"expected x,y,radius"):
        Region.of(given)  # type: ignore[arg-type]


@settings(derandomize=True, max_examples=300, deadline=None)
@given(NUMBERS, NUMBERS, RADII, st.sampled_from(["mdb001.pgm", "a/b@c.png", "film", "@.png"]))
def test_a_name_says_its_region_exactly(x: float, y: float, radius: float, file: str) -> None:
    region = Region(x, y, radius)
    assert split_name(region_name(file, region)) == (file, region)
    assert Region.parse(str(region)) == region


def test_equal_regions_have_one_name() -> None:
    names = [
        region_name("f", r) for r in (Region(0, 1, 2), Region(-0.0, 1.0, np.float32(2)), Region.parse("0.0,1,2e0"))
    ]
    assert names == ["f@0,1,2"] * 3


@pytest.mark.parametrize(
    "name", ["mdb001.pgm", "a@b.png", "a@1,2,3.png", "a@1,2", "a@01,2,3", "a@1.0,2,3", "a@1,2,0", "@1,2,3", "1,2,3"]
)
def test_names_of_files_are_not_taken_for_regions(name: str) -> None:
    assert split_name(name) == (name, None)
    assert region_name(name, None) == name


def test_a_question_that_does_not_fit_the_model_says_what_to_give() -> None:
    whole = image(60, 60)
    with pytest.raises(RegionError, match=r"--region X,Y,RADIUS, or region=\(x, y, radius\)") as missing:
        cut(whole, None, RULE)
    with pytest.raises(RegionError, match=r"found region 30,30,9, expected none.*Leave the region out") as unexpected:
        cut(whole, Region(30, 30, 9), None)
    assert (missing.value.code, unexpected.value.code) == ("region_missing", "region_unexpected")
    assert isinstance(missing.value, UsageError)
    assert cut(whole, None, None) is whole
    check_asked(Region(30, 30, 9), RULE)


@pytest.mark.parametrize(("margin", "least"), [(0, 24), (-1, 24), (math.nan, 24), (math.inf, 24), (1, -1), (1, 5000)])
def test_a_rule_that_cuts_nothing_or_too_much_is_refused(margin: float, least: float) -> None:
    with pytest.raises(ValueError, match="expected a margin above 0"):
        RegionCrop(margin, least)


def test_a_rule_is_written_out_and_read_strictly() -> None:
    assert canonical_json(RULE) == '{"least_half_px":24.0,"margin":1.5,"outside":"zero"}'
    assert from_dict(RegionCrop, {"margin": 1.5, "least_half_px": 24}) == RULE
    with pytest.raises(ManifestError, match=r"spec\.region\.outside: found 'mirror', expected one of zero"):
        from_dict(RegionCrop, {"margin": 1.5, "least_half_px": 24, "outside": "mirror"}, "spec.region")


BLANK = RegionCrop(margin=1.5, least_half_px=24.0, least_range=6)


def _film(*shape: int, spread: int, level: int = 4) -> np.ndarray:
    """Film of a few levels from ``level`` on, with dust and a scratch on under a hundredth of the pixels."""
    film = np.random.default_rng(3).integers(level, level + spread + 1, shape).astype(np.uint8)
    film[50, 46:55] = 255
    return film


@pytest.mark.parametrize("shape", [(120, 120), (120, 120, 3)])
@pytest.mark.parametrize("level", [0, 4, 240])
def test_a_region_of_nearly_one_value_is_refused_only_by_a_rule_with_limits(shape: tuple[int, ...], level: int) -> None:
    region = Region(50, 50, 20)
    for spread in (0, 5):
        image = read(_film(*shape, spread=spread, level=level), name="a")
        with pytest.raises(
            ImageRegionError, match=rf"a range of {spread} levels\), expected .* 6 or more\. Mark"
        ) as caught:
            cut(image, region, BLANK)
        assert caught.value.code == "image_region_blank"
        assert crop(image, region, RULE).pixels.any()
    image = read(_film(*shape, spread=6, level=level), name="a")
    assert np.array_equal(crop(image, region, BLANK).pixels, crop(image, region, RULE).pixels)


def test_one_channel_with_tissue_is_enough_and_values_outside_the_image_do_not_count() -> None:
    pixels = np.zeros((120, 120, 3), np.uint8)
    image = read(pixels.copy(), name="a")
    with pytest.raises(ImageRegionError, match="a range of 0 levels"):
        crop(image, Region(50, 50, 20), BLANK)
    pixels[..., 1] = np.arange(120)
    crop(read(pixels, name="a"), Region(50, 50, 20), BLANK)
    bright = read(np.full((120, 120), 200, np.uint8), name="a")
    with pytest.raises(ImageRegionError, match="a range of 0 levels"):
        crop(bright, Region(3, 60, 20), BLANK)  # the crop has zeros outside the image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_range_is_that_of_the_values_in_order(dtype: type) -> None:
    rng = np.random.default_rng(5)
    for n in (8, 99, 100, 101, 2500):
        values = rng.integers(0, np.iinfo(dtype).max + 1, n).astype(dtype)
        ordered = sorted(values.tolist())
        assert spread_of(values.reshape(n, 1)) == ordered[n - 1 - n // 100] - ordered[n // 100]


def test_the_smallest_range_is_read_from_json_and_absent_where_there_is_none() -> None:
    fields = {"margin": 1.5, "least_half_px": 24}
    assert from_dict(RegionCrop, fields | {"least_range": 6}) == BLANK
    assert to_dict(BLANK)["least_range"] == 6 and "least_range" not in to_dict(RULE)
    for wrong in (0, 65536):
        with pytest.raises(ManifestError, match="Correct it"):
            from_dict(RegionCrop, fields | {"least_range": wrong}, "spec.region")


def test_some_rows_never_pass_a_region_that_all_rows_refuse() -> None:
    rng, passed = np.random.default_rng(11), set()
    for _ in range(300):
        pixels = np.full((*rng.integers(8, 60, 2), 3)[: rng.integers(2, 4)], 90, np.uint8)
        flat = pixels.reshape(-1)
        flat[rng.permutation(flat.size)[: int(flat.size * rng.choice([0.0, 0.005, 0.02, 0.1]))]] += np.uint8(
            rng.choice([4, 9])
        )
        rows = slice(0, int(rng.choice([0, 1, 9])))
        pixels[rows] = rng.integers(0, 256, pixels[rows].shape)
        found = spread_of(pixels)
        image = read(pixels, name="a")
        rule = RegionCrop(1.0, 2.0 * max(pixels.shape), least_range=6)
        try:
            crop(image, Region(1, 1, 1), rule)
            accepted = True
        except ImageRegionError:
            accepted = False
        assert accepted is (found >= 6), (pixels.shape, found)
        passed.add(accepted)
    assert passed == {True, False}
