"""Random crops around lesions: windows contain the lesion, the heat lies on it, and a seed decides everything."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from tests.integration.training.data.lesions_made import made, smooth
from training.data.crop_batches import CropBatches, chances
from training.data.crop_plan import CropPlan
from training.data.crops import Crops, MarkedLesion, WholeAndLesions, Window, cut
from training.data.lesion_images import LesionImage, Pyramid
from training.data.ultrasound_appearance import UltrasoundAppearance

IMAGES = (
    made(150, 170, (40, 50, 80, 70)),
    made(300, 200, (0, 0, 30, 60), (150, 240, 200, 300), label=1, seed=1),
    made(120, 320, (300, 100, 320, 120), label=1, seed=2),
    made(100, 100, (0, 0, 100, 100), label=1, seed=3),
    made(140, 130, (60, 60, 61, 61), seed=4),
)
"""Lesions in the middle, in corners, as large as the image, and of one pixel."""

NORMAL = made(150, 170, label=2, seed=5)


@pytest.mark.parametrize("windows", [WholeAndLesions(whole=0.0), MarkedLesion(margin=1.6)])
def test_a_window_contains_the_lesion_that_it_was_drawn_for(windows: Crops) -> None:
    """Half a pixel may lie outside: boxes end at edges of pixels, windows at their centres."""
    rng, outside, drawn = np.random.default_rng(11), -math.inf, set()
    for turn in range(3000):
        number = turn % len(IMAGES)
        window = windows.draw(IMAGES[number], rng)
        assert window.lesion is not None
        left, top, right, bottom = IMAGES[number].boxes[window.lesion]
        half = window.side / 2
        outside = max(outside, window.x - half - (left - 0.5), (right - 0.5) - window.x - half)
        outside = max(outside, window.y - half - (top - 0.5), (bottom - 0.5) - window.y - half)
        drawn.add((number, window.lesion))
    assert outside <= 0.5 + 1e-9, f"{outside:.3f} px of a lesion lie outside its window"
    assert len(drawn) == 6  # each lesion of each image


def test_windows_reach_from_the_lesion_to_more_than_the_image() -> None:
    rng, image = np.random.default_rng(12), IMAGES[0]
    sides = [WholeAndLesions(whole=0.0).draw(image, rng).side for _ in range(2000)]
    assert min(sides) == pytest.approx(1.3 * 40, rel=0.02)
    assert max(sides) == pytest.approx(1.1 * 170, rel=0.02)
    assert min(sides) >= 1.3 * 40


def test_the_share_of_whole_images_is_the_plans() -> None:
    rng = np.random.default_rng(13)
    drawn = [WholeAndLesions(whole=0.4).draw(IMAGES[0], rng) for _ in range(2000)]
    whole = [window for window in drawn if window.lesion is None]
    assert len(whole) / len(drawn) == pytest.approx(0.4, abs=0.04)
    for window in whole:
        assert 0.9 * 170 <= window.side <= 1.17 * 170
        assert abs(window.x - 84.5) <= 0.06 * 170
        assert abs(window.y - 74.5) <= 0.06 * 170


def test_an_image_without_lesion_is_cut_anywhere_and_has_no_heat() -> None:
    rng = np.random.default_rng(14)
    for _ in range(200):
        window = WholeAndLesions(whole=0.0).draw(NORMAL, rng)
        assert window.lesion is None
        assert 0.4 * 170 <= window.side <= 1.1 * 170
        assert 0 <= window.x <= 170
        assert 0 <= window.y <= 150
        _, heat = cut(NORMAL, window, 32, 4, rng, one_lesion=False)
        assert not heat.any()


@pytest.mark.parametrize(("angle", "stretch", "mirrored"), [(0.0, 1.0, False), (12.0, 1.2, True), (-7.0, 0.9, False)])
def test_a_windows_matrix_maps_centre_to_centre_and_side_to_side(angle: float, stretch: float, mirrored: bool) -> None:
    matrix = Window(31.0, 47.0, 20.0).matrix(64, angle, stretch, mirrored=mirrored)
    assert matrix @ [31.0, 47.0, 1.0] == pytest.approx([31.5, 31.5])
    determinant = np.linalg.det(matrix[:, :2])
    assert determinant == pytest.approx((64 / 20) ** 2 * (-1 if mirrored else 1))
    if angle == 0.0:
        assert matrix @ [21.0, 37.0, 1.0] == pytest.approx([-0.5, -0.5])  # the upper left corner of the window


@pytest.mark.parametrize("number", range(3))
def test_the_heat_is_the_share_of_lesion_in_each_cell(number: int) -> None:
    """The image is its own mask here, so that the crop shows where the lesion is."""
    image = IMAGES[number]
    mask = image.whole_mask
    assert mask is not None
    drawn = replace(image, image=mask)
    rng, brightest = np.random.default_rng(15), 0.0
    for _ in range(60):
        levels, heat = cut(drawn, WholeAndLesions(whole=0.3).draw(drawn, rng), 48, 6, rng, one_lesion=False)
        expected = levels.reshape(6, 8, 6, 8).mean(axis=(1, 3)) / 255
        assert (heat.dtype, heat.shape) == (np.float32, (6, 6))
        assert np.abs(heat - expected).max() <= 0.51 / 255
        brightest = max(brightest, float(heat.max()))
    assert brightest > 0.9


def test_the_heat_of_a_marked_lesion_shows_no_other() -> None:
    two = made(100, 100, (30, 30, 45, 45), (55, 30, 70, 45))
    window = Window(50.0, 37.0, 60.0, lesion=0)
    one = cut(two, window, 48, 6, np.random.default_rng(16), one_lesion=True)[1]
    both = cut(two, window, 48, 6, np.random.default_rng(16), one_lesion=False)[1]
    assert one.sum() == pytest.approx(both.sum() / 2, rel=0.05)


def batches(windows: Crops = WholeAndLesions(whole=0.4), *, seed: int = 3, **changes: object) -> CropBatches:  # noqa: B008
    images = (*IMAGES, NORMAL) if isinstance(windows, WholeAndLesions) else IMAGES
    images = tuple(replace(image, suspicion=(None, 0.3)[i % 2]) for i, image in enumerate(images))
    plan = replace(CropPlan(windows, epoch=22), **changes)  # type: ignore[arg-type]
    sites = ["a", "b", "a", "c", "c", "c"][: len(images)]
    return CropBatches(images, sites, plan, labels=3, side_px=32, grid=2, batch=8, seed=seed, normal=2)


@pytest.mark.parametrize("windows", [WholeAndLesions(whole=0.4), MarkedLesion(margin=1.6)])
def test_a_batch_has_crops_targets_and_weights(windows: Crops) -> None:
    made_of = batches(windows)
    assert len(made_of) == 3
    for index, count in enumerate((8, 8, 6)):
        crops, targets, weights = made_of[index]
        assert (crops.dtype, crops.shape) == (np.float32, (count, 32, 32, 1))
        assert crops.min() >= -1.0
        assert crops.max() <= 1.0
        assert targets["scores"].sum(axis=1).tolist() == [1.0] * count
        assert targets["heat"].shape == (count, 2, 2)
        assert np.array_equal(targets["suspicion"][:, 0], weights["suspicion"] * np.float32(0.3))
        assert weights["scores"].tolist() == [1.0] * count
        assert np.array_equal(made_of.images(index), crops)


def test_an_epoch_depends_on_seed_epoch_and_index_alone() -> None:
    one, other = batches(), batches()
    other.deal(5)
    _ = other[1]
    other.deal(2)
    one.on_epoch_end()
    one.on_epoch_end()
    for index in (2, 0, 1):
        for ours, theirs in zip(one[index][:2], other[index][:2], strict=True):
            for key in ours if isinstance(ours, dict) else [...]:
                np.testing.assert_array_equal(ours[key], theirs[key])
    first = one[0][0]
    assert not np.array_equal(first, one[1][0])
    assert not np.array_equal(first, batches(seed=4)[0][0])
    one.deal(3)
    assert not np.array_equal(first, one[0][0])


def test_images_are_drawn_as_often_as_their_chances() -> None:
    drawn = batches(MarkedLesion(margin=1.6), epoch=4000, appearance=UltrasoundAppearance(0.0, 0.0))
    scores = np.eye(3)[[IMAGES[row].label for row in drawn._rows]]
    expected = chances([image.label for image in IMAGES], ["a", "b", "a", "c", "c"], {2: 0.5})
    labels = np.array([image.label for image in IMAGES])
    for label in (0, 1):
        assert scores[:, label].mean() == pytest.approx(expected[labels == label].sum(), abs=0.03)


def test_sites_have_the_root_of_their_size_and_labels_their_weight_within_a_site() -> None:
    sizes = {("a", 0): 30, ("a", 1): 5, ("a", 2): 29, ("b", 0): 3, ("b", 1): 13, ("c", 1): 100}
    rows = [key for key, count in sizes.items() for _ in range(count)]
    np.random.default_rng(17).shuffle(rows)
    found = chances([label for _, label in rows], [site for site, _ in rows], {2: 0.5})
    assert found.sum() == pytest.approx(1.0)
    total: dict[tuple[str, int], float] = defaultdict(float)
    for (site, label), chance in zip(rows, found, strict=True):
        total[site, label] += chance
    roots = {"a": 8.0, "b": 4.0, "c": 10.0}  # of 64, 16 and 100 images
    for site, root in roots.items():
        assert sum(chance for key, chance in total.items() if key[0] == site) == pytest.approx(root / 22)
    assert total["a", 0] == pytest.approx(total["a", 1])
    assert total["a", 2] == pytest.approx(total["a", 0] / 2)
    assert total["b", 0] == pytest.approx(total["b", 1])


def test_a_black_image_is_cut_without_a_lesion() -> None:
    image = LesionImage(Pyramid.of(np.zeros((40, 60), np.uint8)), (), (), 2)
    levels, heat = cut(image, Window(30, 20, 60), 32, 2, np.random.default_rng(0), one_lesion=True)
    assert not levels.any()
    assert not heat.any()
    assert smooth(40, 60).min() > 0
