"""Images with lesion masks in memory: crops against bilinear sums written here, halvings against means."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests import ultrasound_sites
from tests.integration.training.data.lesions_made import boxed, made, smooth
from training.data.datasets import ultrasound
from training.data.lesion_images import SIDE_PX, SMALLEST_PX, Pyramid, load_lesion_images, reduced

IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def bilinear(image: npt.NDArray[np.uint8], matrix: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float64]:
    """Return a crop in float64: each pixel lies between the four old ones around its place, 0 outside the image."""
    rows, columns = np.mgrid[:side, :side]
    inverse = np.linalg.inv(np.vstack([matrix, [0.0, 0.0, 1.0]]))
    x, y = (inverse[i, 0] * columns + inverse[i, 1] * rows + inverse[i, 2] for i in (0, 1))
    wide = np.pad(image.astype(np.float64), 1)
    total = np.zeros((side, side))
    for down in (0, 1):
        for across in (0, 1):
            column, row = np.floor(x) + across, np.floor(y) + down
            weight = (1 - np.abs(x - column)) * (1 - np.abs(y - row))
            within = np.clip(row + 1, 0, image.shape[0] + 1), np.clip(column + 1, 0, image.shape[1] + 1)
            total += weight * wide[within[0].astype(int), within[1].astype(int)]
    return total


def test_the_identity_gives_the_image_and_black_outside_it() -> None:
    image = smooth(60, 90)
    found = Pyramid.of(image).crop(IDENTITY, 100)
    assert (found.dtype, found.shape) == (np.uint8, (100, 100))
    assert np.array_equal(found[:60, :90], image)
    assert not found[60:].any()
    assert not found[:, 90:].any()


@pytest.mark.parametrize("matrix", [
    [[1.3, 0.2, -5.0], [-0.25, 1.1, 12.0]],
    [[-0.8, 0.0, 85.0], [0.0, 0.9, 3.3]],
    [[2.0, -0.1, -40.0], [0.2, 1.7, -30.0]],
])  # fmt: skip
def test_a_crop_of_the_largest_level_is_bilinear(matrix: list[list[float]]) -> None:
    """OpenCV rounds places to a 32nd of a pixel; neighbours differ by up to 30 levels, at the black outside by 255."""
    image, turned = smooth(80, 100), np.array(matrix)
    found, expected = Pyramid.of(image).crop(turned, 96), bilinear(image, turned, 96)
    difference = np.abs(found - expected)
    inside = cv2.erode((bilinear(np.full_like(image, 255), turned, 96) > 254).astype(np.uint8), np.ones((3, 3))) > 0
    assert inside.mean() > 0.3
    assert difference[inside].max() <= 2, f"differs by {difference[inside].max():.2f} levels"
    assert difference.max() <= 12, f"differs by {difference.max():.2f} levels at the border"


def test_a_crop_at_half_the_scale_is_the_mean_of_each_four_pixels() -> None:
    """Pixel k of the crop has its centre between pixels 2k and 2k + 1."""
    image = smooth(240, 320)
    pyramid = Pyramid.of(image)
    assert [level.shape for level in pyramid.levels] == [(240, 320), (120, 160)]
    found = pyramid.crop(np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25]]), 160)
    expected = image.reshape(120, 2, 160, 2).mean(axis=(1, 3))
    assert np.abs(found[:120] - expected).max() <= 0.5
    assert not found[120:].any()


def test_odd_sides_keep_their_place_in_a_halved_level() -> None:
    """A square drawn in 301×241 px appears where the matrix puts it, to half a pixel of the crop."""
    image = np.zeros((241, 301), np.uint8)
    image[200:220, 250:280] = 255
    matrix = np.array([[0.5, 0.0, 3.0], [0.0, 0.5, -20.0]])
    found = Pyramid.of(image).crop(matrix, 160).astype(np.float64)
    rows, columns = np.mgrid[:160, :160]
    centre = (columns * found).sum() / found.sum(), (rows * found).sum() / found.sum()
    expected = 0.5 * 264.5 + 3, 0.5 * 209.5 - 20
    assert np.abs(np.subtract(centre, expected)).max() < 0.25, f"found {centre}, expected {expected}"


def test_images_are_reduced_with_masks_and_boxes_and_small_ones_are_kept() -> None:
    small = made(100, 200, (20, 30, 60, 50))
    assert small.size == (100, 200)
    assert np.array_equal(small.image.levels[0], smooth(100, 200))
    assert small.boxes == ((20, 30, 60, 50),)
    assert np.array_equal(small.lesions[0].levels[0] > 0, boxed(100, 200, (20, 30, 60, 50)))
    large = made(480, 640, (100, 200, 300, 260), (400, 20, 440, 60))
    assert large.size == (240, 320)
    assert max(large.size) == SIDE_PX
    assert max(large.image.levels[-1].shape) <= SMALLEST_PX
    assert large.boxes == ((50, 100, 150, 130), (200, 10, 220, 30))
    union = boxed(240, 320, (50, 100, 150, 130)) | boxed(240, 320, (200, 10, 220, 30))
    assert large.whole_mask is not None
    assert np.array_equal(large.whole_mask.levels[0] > 0, union)


def test_an_empty_mask_is_no_lesion() -> None:
    found = reduced(smooth(50, 50), [np.zeros((50, 50), np.bool_)], 2, None)
    assert (found.lesions, found.boxes, found.whole_mask) == ((), (), None)


def test_shares_below_count_the_pixels() -> None:
    found = made(90, 70).shares_below
    levels = smooth(90, 70)
    assert found.shape == (256,)
    assert found[-1] == 1.0
    for level in (0, 60, 128, 200):
        assert found[level] == pytest.approx((levels <= level).mean(), abs=1e-12)


def test_samples_are_read_with_their_lesions_and_a_region_with_its_own(tmp_path: Path) -> None:
    root = ultrasound_sites.write_sites(tmp_path)
    whole = ultrasound.read(root)
    found = load_lesion_images(whole.samples)
    assert [image.label for image in found] == [sample.label for sample in whole.samples]
    assert all(image.size == ultrasound_sites.SIZE_PX for image in found)
    for image in found:
        assert image.boxes == (() if image.label == ultrasound.LABELS.index("normal") else (ultrasound_sites.BOX,))
    by_site = {sample.name.split("/")[0]: image.suspicion for sample, image in zip(whole.samples, found, strict=True)}
    assert sorted(by_site.values(), key=str) == [0.06, 0.37, None]  # 4a in BrEaST, 4 in BUS-BRA, none in BUSI
    busi = next(sample for sample in whole.samples if sample.name.endswith("benign (1).png"))
    second = busi.path.with_name("benign (1)_mask_1.png")
    ultrasound_sites.write(second, ultrasound_sites.mask((100, 20, 140, 40)))
    lesions = [s for s in ultrasound.load_lesions(root).samples if s.path == busi.path]
    assert len(lesions) == 2
    assert sorted(image.boxes for image in load_lesion_images(lesions)) == [((40, 50, 80, 70),), ((100, 20, 140, 40),)]
    (both,) = load_lesion_images([busi])
    assert len(both.boxes) == len(both.lesions) == 2
