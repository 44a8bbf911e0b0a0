"""A slide cut into patches and joined again is the same slide; its map lies on the same grid."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from training.data.datasets import Sample
from training.errors import DatasetError
from training.reporting.slide import PATCH_PX, draw_slide, has_place, join_slide, slide_png


def _cut(
    slide: npt.NDArray[np.uint8], folder: Path, origin: tuple[int, int] = (101, 51)
) -> tuple[list[Sample], npt.NDArray[np.float64]]:
    """Write a slide's patches (RGB pixels) under published names; scores rise in reading order."""
    samples = []
    for y in range(0, slide.shape[0], PATCH_PX):
        for x in range(0, slide.shape[1], PATCH_PX):
            name = f"77_idx5_x{x + origin[0]}_y{y + origin[1]}_class0.png"
            cv2.imwrite(str(folder / name), slide[y : y + PATCH_PX, x : x + PATCH_PX, ::-1])
            samples.append(Sample(f"77/0/{name}", folder / name, 0, "77"))
    return samples, np.linspace(0, 1, len(samples))


def _random_slide(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_slide_cut_and_joined_is_the_same_pixel_for_pixel(tmp_path: Path) -> None:
    slide = _random_slide(130, 215)  # patches at the right and lower edge are smaller
    samples, scores = _cut(slide, tmp_path)
    mosaic, cells = join_slide(samples[::-1], scores[::-1])
    assert (mosaic.dtype, mosaic.shape, cells.dtype, cells.shape) == (np.uint8, (150, 250, 3), np.float32, (3, 5))
    assert np.array_equal(mosaic[:130, :215], slide)
    assert (mosaic[130:] == 255).all() and (mosaic[:, 215:] == 255).all()
    assert np.array_equal(cells, scores.reshape(3, 5).astype(np.float32))


def test_where_no_patch_is_the_slide_is_white_and_the_map_is_nan(tmp_path: Path) -> None:
    samples, scores = _cut(_random_slide(100, 150), tmp_path)
    mosaic, cells = join_slide([samples[0], samples[5]], scores[[0, 5]])
    assert np.isnan(cells).sum() == 4 and not np.isnan(cells[[0, 1], [0, 2]]).any()
    assert (mosaic[:50, 50:] == 255).all()


def test_what_cannot_be_one_slide_is_refused(tmp_path: Path) -> None:
    samples, scores = _cut(_random_slide(50, 100), tmp_path)
    first = samples[0]
    with pytest.raises(DatasetError, match="0 patches of 0 patients"):
        join_slide([], np.zeros(0))
    with pytest.raises(DatasetError, match="2 patients"):
        join_slide([first, Sample(first.name, first.path, 0, "78")], scores)
    with pytest.raises(DatasetError, match="1 scores"):
        join_slide(samples, scores[:1])
    with pytest.raises(DatasetError, match="found two patches"):
        join_slide([first, first], scores)
    with pytest.raises(DatasetError, match="found no place"):
        join_slide([Sample("77/0/a.png", tmp_path / "a.png", 0, "77")], scores[:1])
    large = tmp_path / "77_idx5_x1_y1_class0.png"
    cv2.imwrite(str(large), np.zeros((60, 50, 3), np.uint8))
    with pytest.raises(DatasetError, match="at most 50 px"):
        join_slide([Sample("77/0/large.png", large, 0, "77")], scores[:1])


def test_a_drawing_shows_slide_and_map_side_by_side(tmp_path: Path) -> None:
    samples, scores = _cut(np.full((150, 100, 3), (200, 120, 160), dtype=np.uint8), tmp_path)
    mosaic, cells = join_slide(samples[:-1], scores[:-1])
    drawn = draw_slide(mosaic, cells)
    assert drawn.dtype == np.uint8 and drawn.shape[0] == 900 and drawn.shape[2] == 3
    assert drawn[10, 10].tolist() == [200, 120, 160]
    panel = drawn[:, 600 + 24 : 1200 + 24].astype(int)
    lightness = [panel[150 + 300 * row, 150 + 300 * column].sum() for row in range(3) for column in range(2)]
    assert lightness[:5] == sorted(lightness[:5]), "lightness must rise with the score"
    assert panel[750, 450].tolist() == [225] * 3, "a missing cell is light grey"


def test_the_png_holds_the_drawing_pixel_for_pixel(tmp_path: Path) -> None:
    samples, scores = _cut(_random_slide(100, 150), tmp_path)
    decoded = cv2.imdecode(np.frombuffer(slide_png(samples, scores), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.array_equal(decoded[..., ::-1], draw_slide(*join_slide(samples, scores)))


def test_only_names_that_say_a_place_have_one(tmp_path: Path) -> None:
    samples, _ = _cut(_random_slide(50, 50), tmp_path)
    assert has_place(samples[0])
    assert not has_place(Sample("benign (1).png", tmp_path / "benign (1).png", 0, "77"))
