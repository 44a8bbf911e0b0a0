"""The images that arguments name: a plain image needs no study, and gives what the study gives."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.cli import images, study
from edge_runtime.cli.images import named
from edge_runtime.inference.prediction import Failure


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".pgm", ".webp"])
def test_images_alone_are_no_study(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, spec = str(tmp_path / f"a{suffix}"), find("breast-us").manifest.spec
    cv2.imwrite(path, np.full((40, 40), 7, np.uint8))
    expected = study.study_images([path, path], spec)
    monkeypatch.setattr(study, "study_images", None)
    found = named([path, path], spec)
    assert tuple(found.images) == tuple(expected.images)
    assert not found.left_out


def test_a_folder_is_listed_while_its_images_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "AT_ONCE", 2)
    for name in ("a.png", "b.txt", "c.png", "d.txt"):
        (tmp_path / name).write_bytes(b"text")
    (tmp_path / "empty").mkdir()
    found = named([str(tmp_path), str(tmp_path / "empty")], find("idc-patch-compact").manifest.spec)
    each = iter(found.images)
    assert next(each) == str(tmp_path / "a.png")
    assert not found.left_out
    (tmp_path / "c.png").unlink()  # it was listed, but not looked at
    assert next(each) == str(tmp_path / "c.png")
    (failure,) = each
    assert isinstance(failure, Failure)
    assert failure.error.code == "folder_without_images"
    assert [item.path for item in found.left_out] == [str(tmp_path / "b.txt"), str(tmp_path / "d.txt")]


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n".ljust(128, b"\0") + b"DICM", b"PK\x03\x04", b"", None], ids=str
)
def test_anything_else_may_be_a_part_of_one(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, image, spec = tmp_path / "a", str(tmp_path / "b.png"), find("breast-us").manifest.spec
    cv2.imwrite(image, np.full((40, 40), 7, np.uint8))
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(study, "study_images", lambda *_: "study")
    assert named([image, str(path)], spec) == "study"
