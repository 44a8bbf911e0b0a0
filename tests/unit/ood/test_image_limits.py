"""Limits of the image as read: sides and dark share, and the numbers that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.ood.image_limits import DARK, ImageLimits, dark_share
from edge_runtime.serialisation.records import from_dict, to_dict

RNG = np.random.default_rng(21)


def grey(height: int, width: int, level: int = 0, dtype: Any = np.uint8) -> DecodedImage:
    return DecodedImage("p", np.full((height, width), level, dtype), ColourOrder.GREY)


@pytest.mark.parametrize(
    "limits, size, excess",
    [
        (ImageLimits(least_side_px=512), (511, 4000), 512 / 511),
        (ImageLimits(least_side_px=512), (512, 512), 0.0),
        (ImageLimits(most_side_px=75), (10, 76), 76 / 75),
        (ImageLimits(most_side_px=75), (75, 75), 0.0),
        (ImageLimits(least_side_px=50, most_side_px=75), (25, 300), 4.0),
        (ImageLimits(least_side_px=50, most_side_px=75), (10, 75), 5.0),
    ],
)
def test_the_excess_is_the_largest_ratio_beyond_a_side(
    limits: ImageLimits, size: tuple[int, int], excess: float
) -> None:
    assert limits.excess(grey(*size)) == excess


def test_the_dark_share_is_counted_on_about_32_rows_and_columns() -> None:
    pixels = RNG.integers(0, 256, (300, 130)).astype(np.uint8)
    sample = [int(pixels[y, x]) for y in range(0, 300, 9) for x in range(0, 130, 4)]
    dark, bright = sum(level <= DARK for level in sample), sum(level >= 255 - DARK for level in sample)
    assert min(dark, bright) > 15
    assert dark_share(DecodedImage("p", pixels, ColourOrder.GREY)) == dark / (dark + bright)
    assert [dark_share(grey(5, 70, level)) for level in (0, DARK, DARK + 1, 255)] == [1.0, 1.0, 0.0, 0.0]


def test_of_an_image_and_its_negative_one_is_mostly_dark() -> None:
    pixels = RNG.choice(np.array([0, 100, 255], np.uint8), (90, 90), p=[0.2, 0.7, 0.1])
    shares = [dark_share(DecodedImage("p", each, ColourOrder.GREY)) for each in (pixels, 255 - pixels)]
    assert shares[0] > 0.5 and sum(shares) == pytest.approx(1.0)


def test_a_pixel_is_dark_if_all_channels_are() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:2, :, 1] = 250
    assert dark_share(DecodedImage("p", pixels, ColourOrder.BGR)) == 0.75


def test_of_16_bits_the_upper_8_count() -> None:
    image = np.zeros((1, 4), np.uint16)
    image[0] = (DARK << 8) + 255, (DARK + 1) << 8, (255 - DARK) << 8, ((255 - DARK) << 8) - 1
    assert dark_share(DecodedImage("p", image, ColourOrder.GREY)) == 0.5


def test_a_negative_without_any_dark_pixel_is_far_beyond_the_limit() -> None:
    limits = ImageLimits(least_dark=0.1)
    assert limits.excess(grey(9, 9)) == 0.0
    assert limits.excess(grey(9, 9, 255)) == pytest.approx(1e5)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"least_side_px": 0},
        {"most_side_px": -1},
        {"least_side_px": 80, "most_side_px": 79},
        {"least_dark": 0.0},
        {"least_dark": 1.5},
        {"least_dark": float("nan")},
    ],
    ids=str,
)
def test_limits_that_are_none_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="familiarity: found"):
        ImageLimits(**given)


def test_json_holds_the_limits_that_are_set() -> None:
    assert to_dict(ImageLimits(least_dark=0.25)) == {"least_dark": 0.25}
    assert from_dict(ImageLimits, {"most_side_px": 75}, "spec") == ImageLimits(most_side_px=75)
