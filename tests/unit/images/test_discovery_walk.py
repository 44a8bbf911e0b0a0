"""Subfolders, links, special files and unreadable folders: each is walked once or reported, in a fixed order."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import ImageUnreadableError
from edge_runtime.images import discovery
from edge_runtime.images.discovery import folder_error, look_into
from tests.unit.images.image_folders import PNG, fill, images, reasons


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
def test_links_loops_and_special_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path / "in", {"deep/a.png": PNG})
    fill(tmp_path / "other", {"b": PNG})
    for name, target in {
        **{"link.png": "deep/a.png", "link": "../other/b", "gone": "nowhere", "gone.png": "nowhere"},
        **{"folder": "../other", "deep/here": ".", "deep/up": "..", "above": str(tmp_path), "self": "self"},
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    os.mkfifo(root / "fifo.png")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    assert images(root) == ["deep/a.png", "fifo.png", "gone.png", "link", "link.png"]
    assert reasons(root) == {
        **{"above": "loop", "deep/here": "loop", "deep/up": "loop", "self": "loop", "folder": "linked_folder"},
        **{"gone": "broken_link", "fifo": "special_file", "socket": "special_file"},
    }


def test_a_mounted_folder_that_holds_itself_is_entered_once(tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"a.png": PNG, "again/x": b""})
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "--bind", str(root), str(root / "again")], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("this user may not mount")
    try:
        assert images(root) == ["a.png"]
        assert reasons(root) == {"again": "loop"}
    finally:
        subprocess.run(["umount", str(root / "again")], check=True)


def test_order_is_that_of_paths_compared_part_by_part(tmp_path: Path) -> None:
    names = [
        "b.png",
        "a.PNG",
        "sub/deep/c.jpeg",
        "sub/a.webp",
        "sub-b/a.png",
        "sub.png",
        "x.png/in.tif",
        "Ü.png",
        "10",
        "9",
    ]
    fill(tmp_path, dict.fromkeys(names, PNG))
    expected = sorted(tmp_path / name for name in names)
    assert [Path(image.path) for image in look_into(tmp_path).images] == expected


def test_paths_follow_from_the_folder_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, {"in/a.png": PNG, "in/.x": b""})
    monkeypatch.chdir(tmp_path)
    for given, expected in {
        ".": "in/a.png",
        "in": "in/a.png",
        "./in/": "in/a.png",
        str(tmp_path): f"{tmp_path}/in/a.png",
    }.items():
        found = look_into(given)
        assert [image.path for image in found.images] == [expected]
        assert [item.path for item in found.left_out] == [expected.replace("a.png", ".x")]


def test_a_tree_deeper_than_recursion_goes_is_walked(tmp_path: Path) -> None:
    """With the tools of the system: pathlib and shutil of some Pythons do not go as deep."""
    deepest = os.path.join(tmp_path, *["d"] * 1200)
    subprocess.run(["mkdir", "-p", deepest], check=True)
    try:
        Path(deepest, "a.png").write_bytes(PNG)
        assert [image.path for image in look_into(tmp_path).images] == [os.path.join(deepest, "a.png")]
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_what_cannot_be_opened_is_unreadable_unless_its_ending_says_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"a": PNG, "b.png": PNG, "c": PNG})
    whole = discovery.head_of

    def closed(path: str) -> bytes:
        if Path(path).name != "c":
            raise PermissionError(13, "Permission denied", path)
        return whole(path)

    monkeypatch.setattr(discovery, "head_of", closed)
    assert images(tmp_path) == ["b.png", "c"]
    assert reasons(tmp_path) == {"a": "unreadable"}


def shut(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    listed = os.scandir

    def closed(path: Any) -> Any:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", closed)


def test_a_folder_that_cannot_be_listed_is_told_and_the_others_are_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {"a.png": PNG, "sub/b.png": PNG, "z/c.png": PNG})
    shut(monkeypatch, "sub")
    assert images(tmp_path) == ["a.png", "z/c.png"]
    (error,) = look_into(tmp_path).unreadable
    assert error.filename == str(tmp_path / "sub")
    told = folder_error(error)
    assert isinstance(told, ImageUnreadableError)
    assert told.code == "folder_unreadable"
    assert "sub: found a folder that cannot be listed (Permission denied)" in told.message


def test_a_folder_that_can_be_listed_and_not_entered_is_told_once(
    tmp_path: Path, refusing_status: Callable[[Path], None]
) -> None:
    fill(tmp_path, {"a.png": PNG, "b.png": PNG})
    refusing_status(tmp_path)
    found = look_into(tmp_path)
    assert found.images == ()
    assert [error.filename for error in found.unreadable] == [str(tmp_path)]


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    (error,) = look_into(tmp_path / "gone").unreadable
    assert "No such file" in folder_error(error).message
