"""Random changes of appearance: dtype and range, one seed one image, and black outside the scan."""

from __future__ import annotations

import numpy as np
import pytest

from tests.integration.training.data.lesions_made import made, smooth
from training.data.ultrasound_appearance import UltrasoundAppearance

OTHER = made(90, 70, seed=8).shares_below
PLAIN = UltrasoundAppearance(callipers=0.0, caption=0.0)


def framed() -> np.ndarray:
    """A scan with 24 black columns at the left, wider than any filter reaches."""
    image = smooth(64, 96)
    image[:, :24] = 0
    return image


@pytest.mark.parametrize("appearance", [UltrasoundAppearance(), PLAIN, UltrasoundAppearance(1.0, 1.0)])
@pytest.mark.parametrize("size", [(64, 64), (192, 192), (40, 90)])
def test_the_result_is_an_image_of_levels_that_the_seed_decides(
    appearance: UltrasoundAppearance, size: tuple[int, int]
) -> None:
    image = smooth(*size)
    given = image.copy()
    for seed in range(25):
        first, again, other = (appearance.apply(image, OTHER, np.random.default_rng(s)) for s in (seed, seed, seed + 1))
        assert (first.dtype, first.shape) == (np.uint8, size)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
    np.testing.assert_array_equal(image, given)


def test_changes_keep_what_the_image_shows() -> None:
    """Bright stays brighter than dark: the correlation with the image is high in most draws, whatever the levels."""
    image, rng = smooth(128, 128), np.random.default_rng(2)
    found = [PLAIN.apply(image, OTHER, rng) for _ in range(200)]
    alike = [np.corrcoef(image.ravel(), each.ravel())[0, 1] for each in found]
    assert np.median(alike) > 0.9
    means = [each.mean() for each in found]
    assert np.percentile(means, 90) - np.percentile(means, 10) > 30  # the gain differs


def test_black_outside_the_scan_stays_black_in_more_than_half_of_the_images() -> None:
    """Half is set to black again; of the others, contrast above 1 keeps black as well, in about half."""
    rng, image = np.random.default_rng(3), framed()
    black = [not PLAIN.apply(image, OTHER, rng)[:, :8].any() for _ in range(600)]
    assert 0.6 < np.mean(black) < 0.9, np.mean(black)


def test_a_black_image_is_no_error() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        assert UltrasoundAppearance().apply(np.zeros((32, 32), np.uint8), OTHER, rng).shape == (32, 32)


@pytest.mark.parametrize("shares", [(0.4, 0.0), (0.0, 0.4)])
def test_marks_are_drawn_as_often_as_stated(shares: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """All other changes are switched off: a flat image stays flat, unless a mark is drawn."""
    for name in ("_depth_gain", "_sharpness", "_speckled"):
        monkeypatch.setattr(f"training.data.ultrasound_appearance.{name}", lambda image, rng: image)
    rng, flat = np.random.default_rng(5), np.full((64, 64), 90, np.uint8)
    marked = [len(np.unique(UltrasoundAppearance(*shares).apply(flat, OTHER, rng))) > 1 for _ in range(500)]
    assert np.mean(marked) == pytest.approx(0.4, abs=0.1)
