"""Where lesions lie: BUSI's masks united, MIAS's circles with y from the top."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.images.region import Region
from training.data.datasets import Sample, mias
from training.data.datasets.lesions import of_busi, of_mias
from training.errors import DatasetError


def _busi(folder: Path, *masks: np.ndarray) -> Sample:
    path = folder / "benign" / "benign (4).png"
    path.parent.mkdir(exist_ok=True)
    for i, mask in enumerate(masks):
        ending = f"_mask_{i}" if i else "_mask"
        cv2.imwrite(str(path.with_name(f"benign (4){ending}.png")), mask)
    return Sample("benign/benign (4).png", path, 0, "g")


def test_masks_in_grey_and_colour_are_united(tmp_path: Path) -> None:
    one, other = np.zeros((20, 30), np.uint8), np.zeros((20, 30, 3), np.uint8)
    one[2:5, 3:7] = 255
    other[10:12, 20:25] = 255
    found = of_busi(_busi(tmp_path, one, other))
    assert found is not None
    assert np.array_equal(found, (one > 0) | (other[..., 0] > 0))


def test_a_black_mask_is_no_lesion_and_masks_of_two_sizes_are_refused(tmp_path: Path) -> None:
    black = np.zeros((20, 30), np.uint8)
    assert of_busi(_busi(tmp_path, black)) is None
    with pytest.raises(DatasetError, match=r"\(20, 30\), \(20, 31\)"):
        of_busi(_busi(tmp_path, black, np.zeros((20, 31), np.uint8)))


@pytest.fixture
def film(tmp_path: Path) -> Sample:
    lines = ["mdb001 G CIRC B 500 923 30", "mdb001 G SPIC M 100 100 9", "mdb002 G NORM", "mdb003 G CALC B"]
    (tmp_path / mias.INFO).write_text("\n".join(lines) + "\n", encoding="ascii")
    return Sample("mdb001.pgm", tmp_path / "mdb001.pgm", 1, "1")


def test_circles_of_a_film_are_united_with_y_from_the_top(film: Sample) -> None:
    found = of_mias(film)
    assert found is not None
    assert found.shape == (1024, 1024)
    assert found[100, 500]
    assert found[130, 500]
    assert not found[131, 500]
    assert found[923, 100]
    assert found.sum() == pytest.approx(np.pi * (30**2 + 9**2), rel=0.03)


def test_normal_films_and_lesions_without_a_place_have_none(film: Sample) -> None:
    for name in ("mdb002", "mdb003"):
        assert of_mias(Sample(f"{name}.pgm", film.path.with_name(f"{name}.pgm"), 0, "1")) is None


@pytest.mark.parametrize(("label", "pixels"), [(1, True), (0, False)])
def test_a_regions_circle_is_a_lesion_if_it_is_labelled_one(film: Sample, label: int, pixels: bool) -> None:
    region = Region(200, 300, 12)
    found = of_mias(Sample(f"mdb001.pgm@{region}", film.path, label, "1", region))
    assert (found is not None) == pixels
    if found is not None:
        assert found[300, 212]
        assert not found[300, 213]
