"""Changes of stain, gain and marks: what they leave alone, and how far they go."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.augmentation import Augmentation
from training.data.photometric import Callipers, GainAndSpeckle, Photometric, StainJitter

RNG = np.random.default_rng(5)
TISSUE = RNG.uniform(0.3, 0.95, (20, 20, 3)).astype(np.float32)
GREY = RNG.uniform(0.05, 0.6, (56, 56, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "image"),
    [(StainJitter(0.3), TISSUE), (GainAndSpeckle(0.3, 0.5, 0.2), GREY), (Callipers(1.0), GREY)],
)
def test_values_stay_in_0_to_1_the_image_given_is_not_touched_and_the_seed_decides(
    change: Photometric, image: np.ndarray
) -> None:
    given = image.copy()
    first, again, other = (change.apply(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(image, given)
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert first.shape == image.shape
    assert first.min() >= 0.0
    assert first.max() <= 1.0
    assert not np.array_equal(first, other)


def test_no_strength_changes_nothing() -> None:
    np.testing.assert_allclose(StainJitter(0.0).apply(TISSUE, RNG), TISSUE, atol=2e-6)
    np.testing.assert_array_equal(GainAndSpeckle(0.0, 0.0).apply(GREY, RNG), GREY)
    np.testing.assert_array_equal(Callipers(0.0).apply(GREY, RNG), GREY)


def test_stain_jitter_multiplies_amounts_of_stain_and_no_unstained_light() -> None:
    """Beer-Lambert: white glass has no stain, so a factor alone leaves it white; shifts are a tenth of the share."""
    white = np.ones((4, 4, 3), np.float32)
    darkest = min(float(StainJitter(0.2).apply(white, np.random.default_rng(seed)).min()) for seed in range(50))
    assert darkest > np.exp(-0.02 * (0.70 + 0.99 + 0.57)) - 0.01


def test_speckle_is_multiplicative() -> None:
    flat = np.concatenate([np.full((40, 200, 1), 0.1), np.full((40, 200, 1), 0.4)]).astype(np.float32)
    noisy = GainAndSpeckle(0.0, 0.0, 0.1).apply(flat, np.random.default_rng(0))
    low, high = noisy[:40].std(), noisy[40:].std()
    assert high / low == pytest.approx(4.0, rel=0.1)
    assert low == pytest.approx(0.01, rel=0.1)


def test_callipers_come_as_often_as_asked_and_cover_little() -> None:
    rng = np.random.default_rng(0)
    drawn = [Callipers(0.4).apply(GREY, rng) for _ in range(300)]
    marked = [image for image in drawn if not np.array_equal(image, GREY)]
    assert len(marked) / len(drawn) == pytest.approx(0.4, abs=0.08)
    assert max(float((image != GREY).mean()) for image in marked) < 0.1


def test_tensors_of_another_range_are_changed_as_levels_are() -> None:
    """Black and white say what 0 and 255 are in the tensor; the drawn change is the same."""
    change = (GainAndSpeckle(0.3, 0.5),)
    plain = Augmentation(flips=False, quarter_turns=False, photometric=change)
    centred = Augmentation(flips=False, quarter_turns=False, photometric=change, black=-1.0, white=1.0)
    expected = plain.apply(GREY, np.random.default_rng(3))
    found = centred.apply(GREY * 2.0 - 1.0, np.random.default_rng(3))
    np.testing.assert_allclose((found + 1.0) / 2.0, expected, atol=1e-6)


def test_what_comes_in_at_the_border_is_black() -> None:
    moved = Augmentation(flips=False, quarter_turns=False, shift=0.4, black=-1.0)
    image = np.full((30, 30, 1), 0.5, np.float32)
    assert {round(float(v), 3) for v in np.unique(moved.apply(image, np.random.default_rng(0)))} >= {-1.0, 0.5}
