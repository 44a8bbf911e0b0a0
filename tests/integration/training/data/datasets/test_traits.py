"""What each loader tells of its images beyond the label, counted on layouts made by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data.datasets import busi, idc, mendeley, mias
from training.data.datasets.dataset import png_size

INFO = """mdb001 G CIRC B 535 425 197
mdb002 F NORM
mdb003 D CALC M 400 400 30
mdb003 D MISC B 500 500 40
mdb004 G CALC B *NOTE 3*
"""


def _png(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.full((height, width), 90, np.uint8))[1].tobytes())


def test_mias_tells_tissue_of_all_and_kinds_and_severities_of_lesions(tmp_path: Path) -> None:
    (tmp_path / "all-mias").mkdir()
    (tmp_path / "all-mias" / "Info.txt").write_text(INFO, encoding="ascii")
    for number in range(1, 5):
        (tmp_path / "all-mias" / f"mdb{number:03}.pgm").touch()
    assert mias.load(tmp_path).traits == {
        "mdb001.pgm": (("tissue", "fatty-glandular"), ("lesion", "CIRC"), ("severity", "benign")),
        "mdb002.pgm": (("tissue", "fatty"),),
        "mdb003.pgm": (
            *(("tissue", "dense-glandular"), ("lesion", "CALC"), ("lesion", "MISC")),
            *(("severity", "malignant"), ("severity", "benign")),
        ),
        "mdb004.pgm": (("tissue", "fatty-glandular"), ("lesion", "CALC"), ("severity", "benign")),
    }


def test_mendeley_tells_density_and_what_was_done_to_the_source(tmp_path: Path) -> None:
    folder = tmp_path / "INbreast Dataset"
    for name in ("Density1Benign/20.png", "Density4Malignant/21 (2).png", "Density4Malignant/21 (7).png"):
        _png(folder / name, 4, 4)
    assert mendeley.load(tmp_path).traits == {
        "Density1Benign/20.png": (("density", "1"), ("picture", "plain")),
        "Density4Malignant/21 (2).png": (("density", "4"), ("picture", "clahe")),
        "Density4Malignant/21 (7).png": (("density", "4"), ("picture", "augmented")),
    }


def test_idc_tells_whether_a_patient_has_many_patches_and_a_patch_is_whole(tmp_path: Path) -> None:
    for patient, count in (("10", 1), ("11", 2), ("12", 5)):
        for i in range(count):
            name = f"{patient}_idx5_x{1 + 50 * i}_y1_class0.png"
            _png(tmp_path / idc.FOLDER / patient / "0" / name, 50, 50 if i else 34)
    traits = idc.load(tmp_path).traits
    few, many = ("patches of the patient", "up to the median of 2"), ("patches of the patient", "above the median of 2")
    assert [sum(trait in found for found in traits.values()) for trait in (few, many)] == [3, 5]
    assert traits["12/0/12_idx5_x1_y1_class0.png"] == (many, ("patch", "at an edge"))
    assert traits["12/0/12_idx5_x51_y1_class0.png"] == (many, ("patch", "whole"))


def test_busi_tells_label_and_on_which_side_of_the_median_the_size_is(tmp_path: Path) -> None:
    for i, label in enumerate(busi.LABELS):
        for tail in ("", "_mask"):
            _png(tmp_path / busi.FOLDER / label / f"{label} (1){tail}.png", 10 + i, 20)
    assert busi.read(tmp_path).traits == {
        "benign/benign (1).png": (("label", "benign"), ("size", "up to the median of 220 px")),
        "malignant/malignant (1).png": (("label", "malignant"), ("size", "up to the median of 220 px")),
        "normal/normal (1).png": (("label", "normal"), ("size", "above the median of 220 px")),
    }


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(40)], ids=["empty", "short", "gif"])
def test_what_is_no_png_has_no_size_and_no_failure(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert png_size(tmp_path / "a.png") is None
    _png(tmp_path / "b.png", 31, 17)
    assert png_size(tmp_path / "b.png") == (31, 17)


def test_a_comparison_counts_pairs_and_the_loader_keeps_the_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(rng.integers(0, 256, (120, 120), dtype=np.uint8), (0, 0), 2)
    for label in busi.LABELS[:2]:
        for tail in ("", "_mask"):
            path = tmp_path / busi.FOLDER / label / f"{label} (1){tail}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    near = busi.load(tmp_path).near
    assert near is not None
    assert (near.pictures, near.pairs, near.exact, near.contradictions) == (2, 1, 1, 1)
    assert busi.read(tmp_path).near is None
