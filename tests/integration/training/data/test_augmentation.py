"""Flips and quarter turns move values, change none, and may follow the preprocessing."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import preprocess
from training.data.augmentation import Augmentation
from training.recipes.idc_patch import IDC_STEPS

RNG = np.random.default_rng(11)
BOTH = Augmentation(flips=True, quarter_turns=True)


def test_all_eight_symmetries_of_the_square_come_up_about_equally() -> None:
    image = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    rng = np.random.default_rng(0)
    seen = [BOTH.apply(image, rng).tobytes() for _ in range(1600)]
    counts = sorted(seen.count(kind) for kind in set(seen))
    assert len(counts) == 8
    assert counts[0] > 140, counts


def test_turning_the_tensor_equals_preparing_the_turned_image() -> None:
    pixels = RNG.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    tensor = preprocess(DecodedImage("noise", pixels, ColourOrder.BGR), IDC_STEPS)
    for turns in range(4):
        for flip in (False, True):
            turned = np.rot90(pixels[:, ::-1] if flip else pixels, turns)
            ours = np.rot90(tensor[:, ::-1] if flip else tensor, turns)
            theirs = preprocess(DecodedImage("turned", np.ascontiguousarray(turned), ColourOrder.BGR), IDC_STEPS)
            np.testing.assert_array_equal(ours, theirs)


def test_nothing_switched_on_changes_nothing() -> None:
    image = RNG.random((4, 4, 3), dtype=np.float32)
    np.testing.assert_array_equal(Augmentation(flips=False, quarter_turns=False).apply(image, RNG), image)


def test_so_many_images_are_kept_as_a_device_sees_them() -> None:
    image = RNG.random((8, 8, 1), dtype=np.float32)
    turned = Augmentation(flips=False, quarter_turns=False, rotation_deg=20.0, kept=0.25)
    rng = np.random.default_rng(3)
    same = sum(np.array_equal(turned.apply(image, rng), image) for _ in range(2000))
    assert 440 < same < 560  # 500 expected; a deviation is 19
    mirrored = Augmentation(flips=True, quarter_turns=False, rotation_deg=20.0, kept=1.0)
    assert {mirrored.apply(image, rng).tobytes() for _ in range(50)} == {image.tobytes(), image[:, ::-1].tobytes()}


def test_batches_cover_every_image_once_an_epoch_and_repeat_with_the_seed() -> None:
    from training.data.batches import Batches

    images = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
    labels = np.arange(10, dtype=np.float32)[:, np.newaxis]

    def epochs(seed: int) -> list[list[float]]:
        batches = Batches(images, labels, batch=4, seed=seed, augmentation=BOTH)
        found = []
        for _ in range(2):
            rows = [batches[i] for i in range(len(batches))]
            assert all(np.array_equal(x.ravel(), y.ravel()) for x, y in rows)
            found.append(np.concatenate([y.ravel() for _, y in rows]).tolist())
            batches.on_epoch_end()
        return found

    first, second = epochs(1)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert epochs(1) == [first, second] != epochs(2)


def _disc(radius_px: float, side: int = 101) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side // 2
    return (np.hypot(x, y) <= radius_px).astype(np.float32)[..., np.newaxis]


def test_scales_are_drawn_on_a_logarithmic_scale_between_their_bounds() -> None:
    scaled = Augmentation(flips=False, quarter_turns=False, scale=(0.8, 1.25))
    rng = np.random.default_rng(2)
    discs = [scaled.apply(_disc(20.0), rng) for _ in range(400)]
    factors = np.sqrt([float(disc.sum()) / float(_disc(20.0).sum()) for disc in discs])
    print(f"factors {factors.min():.3f} to {factors.max():.3f}, median {np.median(factors):.3f}")
    assert 0.79 < factors.min() < 0.83 and 1.2 < factors.max() < 1.26
    logs = np.log(factors) / np.log(1.25)
    assert abs(logs.mean()) < 0.09 and abs(logs.std() - 1 / np.sqrt(3)) < 0.05, "uniform in the logarithm"
    with pytest.raises(ValueError, match=r"found scale \(1\.25, 0\.8\), expected two factors above 0, rising"):
        Augmentation(flips=False, quarter_turns=False, scale=(1.25, 0.8))


def test_a_border_is_reflected_tissue_where_it_is_asked_for() -> None:
    white = np.ones((40, 40, 3), dtype=np.float32)
    shrunk = Augmentation(flips=False, quarter_turns=False, scale=(0.8, 0.8))
    assert float(shrunk.apply(white, np.random.default_rng(0)).min()) == 0.0
    reflected = Augmentation(flips=False, quarter_turns=False, scale=(0.8, 0.8), reflected=True)
    assert float(reflected.apply(white, np.random.default_rng(0)).min()) > 0.999
