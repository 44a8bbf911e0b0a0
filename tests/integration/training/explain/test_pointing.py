"""Figures of pointing by hand: hits, energy, baselines, rank correlation."""

from __future__ import annotations

import numpy as np
import pytest

from training.explain.pointing import brightest, centre, darkest, energy, hit, likeness

LESION = np.zeros((4, 6), bool)
LESION[1:3, 2:4] = True


def test_a_hit_is_the_first_of_the_largest_values() -> None:
    shares = np.zeros((4, 6), np.float32)
    shares[1, 2] = shares[3, 5] = 1.0
    assert hit(shares, LESION)
    shares[0, 0] = 1.0
    assert not hit(shares, LESION)


def test_a_blank_map_neither_hits_nor_has_energy() -> None:
    blank = np.zeros((4, 6), np.float32)
    everywhere = np.ones((4, 6), bool)
    assert not hit(blank, everywhere)
    assert energy(blank, everywhere) == 0.0


def test_energy_is_the_share_of_the_sum() -> None:
    assert energy(np.ones((4, 6), np.float32), LESION) == pytest.approx(4 / 24)
    assert energy(LESION.astype(np.float32), LESION) == 1.0


def test_the_centre_is_one_pixel() -> None:
    found = centre((4, 6))
    assert found.sum() == found[2, 3] == 1.0


def test_the_brightest_place_is_a_region_and_no_speck() -> None:
    pixels = np.zeros((64, 64), np.uint8)
    pixels[5, 5] = 255
    pixels[40:56, 30:46] = 120
    row, column = np.unravel_index(int(brightest(pixels).argmax()), pixels.shape)
    assert 44 <= row <= 51
    assert 34 <= column <= 41
    assert darkest(pixels)[row, column] == darkest(pixels).min()
    assert brightest(np.dstack([pixels] * 3)).shape == pixels.shape


def test_likeness_is_spearmans_with_shared_ranks() -> None:
    rng = np.random.default_rng(0)
    one = np.round(rng.random((6, 6)) * 5).astype(np.float32)  # many equal values
    other = rng.random((6, 6)).astype(np.float32)

    def ranks(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(-1)
        return np.array([(flat < v).sum() + ((flat == v).sum() + 1) / 2 for v in flat])

    assert likeness(one, other) == pytest.approx(np.corrcoef(ranks(one), ranks(other))[0, 1])
    assert likeness(one, one * 3 + 1) == pytest.approx(1.0)
    assert likeness(one, -one) == pytest.approx(-1.0)
    assert np.isnan(likeness(one, np.zeros((6, 6), np.float32)))
