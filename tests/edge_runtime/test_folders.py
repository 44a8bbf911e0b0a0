"""No picture of a folder is missing without a word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import ImageUnreadableError
from edge_runtime.folders import pictures_below


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.png", "a.PNG", "sub/deep/c.jpeg", "sub/a.webp", ".hidden.png", "notes.txt", "png", "x.png/in.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.png").symlink_to("b.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    return tmp_path


def test_pictures_are_found_by_ending_and_sorted_by_name(tree: Path) -> None:
    found = [path.relative_to(tree).as_posix() for path in pictures_below(tree)]
    assert found == [
        *(".hidden.png", "a.PNG", "b.png", "link.png"),
        *("sub/a.webp", "sub/deep/c.jpeg", "x.png/in.tif"),
    ]


def test_a_folder_that_cannot_be_listed_is_an_error_or_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def closed(path: Any) -> Any:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(ImageUnreadableError, match=r"sub: found a folder that cannot be listed \(Permission") as caught:
        pictures_below(tree)
    assert caught.value.code == "folder_unreadable"
    told: list[OSError] = []
    assert len(pictures_below(tree, told.append)) == 5
    assert [error.filename for error in told] == [str(tree / "sub")]


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadableError, match="No such file"):
        pictures_below(tmp_path / "gone")
