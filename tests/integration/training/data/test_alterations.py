"""Alterations of own images: each keeps shape and type, and is what its name says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.data.alterations import ALTER, MOSAIC, Alteration, accepted, mosaic_of
from training.data.drawn_images import Pixels

RNG = np.random.default_rng(5)
PATCH: Pixels = cv2.GaussianBlur(RNG.integers(0, 256, (50, 50, 3)).astype(np.uint8), (0, 0), 0.7).astype(np.uint8)
COLOURS = (Alteration.GREY, Alteration.EXCHANGED)


def altered(name: Alteration, pixels: Pixels, seed: int) -> Pixels:
    given = mosaic_of([pixels] * MOSAIC) if name is Alteration.REDUCED else pixels
    return ALTER[name](np.random.default_rng(seed), given)


def steps(pixels: Pixels) -> float:
    """Mean difference of neighbours."""
    return float(np.abs(np.diff(pixels.astype(np.int16), axis=1)).mean())


@pytest.mark.parametrize("name", Alteration)
@pytest.mark.parametrize("shape", [(50, 50, 3), (41, 50, 3), (64, 64)])
def test_an_altered_image_has_the_shape_and_differs(name: Alteration, shape: tuple[int, ...]) -> None:
    if len(shape) == 2 and name in COLOURS:
        pytest.skip("a grey image has no colour to change")
    pixels = RNG.integers(40, 200, shape).astype(np.uint8)
    first, again, other = (altered(name, pixels, seed) for seed in (1, 1, 2))
    assert first.shape == pixels.shape and first.dtype == np.uint8 and not np.array_equal(first, pixels)
    np.testing.assert_array_equal(first, again)
    assert name in (*COLOURS, Alteration.NEGATIVE) or not np.array_equal(first, other)


def test_each_is_what_its_name_says() -> None:
    many = {name: [altered(name, PATCH, seed) for seed in range(20)] for name in Alteration}
    assert all(steps(found) < 0.8 * steps(PATCH) for found in many[Alteration.ENLARGED])
    assert all(np.ptp(found, axis=2).max() == 0 for found in many[Alteration.GREY])
    for found in many[Alteration.EXCHANGED]:
        channels = [PATCH[..., channel] for channel in range(3)]
        assert all(any(np.array_equal(found[..., k], each) for each in channels) for k in range(3))
        assert not np.array_equal(found, PATCH)
    np.testing.assert_array_equal(many[Alteration.NEGATIVE][0], 255 - PATCH)
    assert all(found.mean() > PATCH.mean() + 25 for found in many[Alteration.BRIGHT])
    assert all(found.mean() < PATCH.mean() - 25 for found in many[Alteration.DARK])
    assert all(steps(found) > steps(PATCH) for found in many[Alteration.NOISE])


def test_a_reduced_image_is_a_field_of_several() -> None:
    images = [np.full((50, 50, 3), level, np.uint8) for level in range(0, 240, 15)]
    field = mosaic_of(images)
    assert field.shape == (200, 200, 3) and np.unique(field).tolist() == list(range(0, 240, 15))
    shown = [ALTER[Alteration.REDUCED](np.random.default_rng(seed), field) for seed in range(20)]
    assert all(found.shape == (50, 50, 3) and np.ptp(found) > 0 for found in shown)
    assert mosaic_of([images[0], np.zeros((20, 50, 3), np.uint8)]).shape == (200, 200, 3)


def test_an_accepted_image_hardly_differs() -> None:
    found = accepted(np.random.default_rng(0), PATCH)
    assert 0 < np.abs(found.astype(np.int16) - PATCH).mean() < 16
