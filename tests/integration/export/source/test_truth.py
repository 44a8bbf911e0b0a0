"""Labels of parity images: by folder or by list, and what makes them uncertain is refused or told."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.policy import DecisionPolicy, Head
from export.errors import CalibrationError
from export.source.calibration_images import files_below
from export.source.encoded_images import listed
from export.source.source import _in_folder
from export.source.truth import truth_of
from training.recipes.phantom_patch import SPEC

TWO = replace(
    SPEC, labels=("benign", "malignant lesion"), positive=("malignant lesion",), head=Head.SOFTMAX,
    policy=DecisionPolicy(0.5, 0.0),
)  # fmt: skip


def _images(root: Path, *folders: str, count: int = 2) -> Path:
    for place, folder in enumerate(folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = np.full((60, 60, 3), 4 * i + 100 * place, np.uint8)
            pixels[:20] = 255 - i
            cv2.imwrite(str(root / folder / f"{i}.png"), pixels)
    return root


def _labels(root: Path) -> list[int] | None:
    found = truth_of(files_below(root, "parity"), TWO)
    return None if found is None else found.labels.tolist()


@pytest.mark.parametrize(
    "folders",
    [
        ("benign", "malignant lesion"),
        ("Benign", "MALIGNANT_LESION"),
        ("benign/patient 1", "malignant-lesion/patient 2"),
        ("site/benign", "site/malignant lesion"),
    ],
)
def test_the_nearest_folder_that_is_a_label_gives_it(tmp_path: Path, folders: tuple[str, str]) -> None:
    _images(tmp_path, *folders)
    files = files_below(tmp_path, "parity")
    expected = [int("alignant" in str(file.path) or "ALIGNANT" in str(file.path)) for file in files]
    assert _labels(tmp_path) == expected
    assert sum(expected) == 2


def test_labels_that_differ_in_case_alone_are_kept_apart(tmp_path: Path) -> None:
    _images(tmp_path, "A", "a")
    spec = replace(TWO, labels=("a", "A"), positive=("A",))
    found = truth_of(files_below(tmp_path, "parity"), spec)
    assert found is not None
    assert found.labels.tolist() == [1, 1, 0, 0]


def test_folders_that_are_no_labels_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _images(tmp_path, "benign", "maligant lesion")
    with caplog.at_level(logging.WARNING):
        assert _labels(tmp_path) is None
    assert "Found 2 of 4 images in folders that are no label (maligant lesion), expected folders benign" in caplog.text


def test_images_without_folders_have_no_labels_and_that_is_usual(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert _labels(_images(tmp_path, ".")) is None
    assert not caplog.text


def test_an_image_with_two_labels_is_refused(tmp_path: Path) -> None:
    _images(tmp_path, "benign", "malignant lesion")
    (tmp_path / "malignant lesion" / "x.png").write_bytes((tmp_path / "benign" / "1.png").read_bytes())
    with pytest.raises(
        CalibrationError, match=r"found the image benign/1\.png again .* once as benign and once as mali"
    ):
        _labels(tmp_path)


def test_an_image_twice_with_one_label_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _images(tmp_path, "benign", "malignant lesion")
    (tmp_path / "benign" / "x.png").write_bytes((tmp_path / "benign" / "1.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        assert _labels(tmp_path) == [0, 0, 0, 1, 1]
    assert "1 of 5 images occur a second time" in caplog.text


def _list(root: Path, labels: dict[str, str], data: Path) -> Path:
    lines = [f"{name};{hashlib.sha256((data / name).read_bytes()).hexdigest()};{lab}" for name, lab in labels.items()]
    (root / "samples.csv").write_text("\n".join(["Name;SHA256;Label", *lines]), encoding="utf-16")
    return root / "samples.csv"


def test_a_list_gives_labels_by_its_column(tmp_path: Path) -> None:
    data = _images(tmp_path / "data", "0", "1", count=20)
    names = {f"{place}/{i}.png": TWO.labels[place] for i in range(20) for place in (0, 1)}
    (tmp_path / "list").mkdir()
    path = _list(tmp_path / "list", names, data)
    found = _in_folder(tmp_path / "list", TWO, data)
    assert found.truth is not None
    assert found.truth.labels.tolist() == [0, 1] * 20
    assert len(found.tensors) == 40
    with pytest.raises(CalibrationError, match="give its folder with --data DIR"):
        _in_folder(path, TWO)


def test_a_label_that_is_none_or_contradicts_the_folder_is_refused(tmp_path: Path) -> None:
    data = _images(tmp_path / "data", "benign", "malignant lesion")
    path = _list(tmp_path, {"benign/0.png": "cancer"}, data)
    with pytest.raises(CalibrationError, match=r"benign/0\.png: found the label 'cancer', expected one of benign, mal"):
        truth_of(listed(path, data), TWO)
    path = _list(tmp_path, {"benign/0.png": "malignant lesion"}, data)
    with pytest.raises(
        CalibrationError, match="found the label malignant lesion in the list, and the folder of benign"
    ):
        truth_of(listed(path, data), TWO)
