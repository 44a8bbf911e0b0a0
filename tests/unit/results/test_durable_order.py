"""A power cut at any moment: what the disk must have been given, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.results.append_only_file import Durable
from tests.unit.platform.sync_record import record


def test_a_replacement_is_on_the_disk_before_it_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a power cut after the rename leaves an empty file where the answers were."""
    place = tmp_path / "file"
    file = Durable(place, existing=False)
    file.append(b"a\nb\n")
    old = place.stat().st_ino
    calls = record(tmp_path, monkeypatch)
    file.replace(lambda: iter([b"b\n", b"c\n"]))
    new = place.stat().st_ino
    before = [call for call in calls if call.inode == new and call.listing["file"] == old]
    assert before, "the new file was renamed before it was on the disk"
    assert before[-1].content == b"b\nc\n"


def test_the_name_of_a_replacement_is_on_the_disk_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise what is appended next goes into a file that a power cut leaves without a name."""
    place = tmp_path / "file"
    file = Durable(place, existing=False)
    file.append(b"a\n")
    calls = record(tmp_path, monkeypatch)
    file.replace(lambda: iter([b"b\n"]))
    new, folder = place.stat().st_ino, tmp_path.stat().st_ino
    after = [call for call in calls if call.inode == folder and call.listing["file"] == new]
    assert after, "the folder was not handed to the disk after the rename"


def test_a_new_file_has_its_name_on_the_disk_before_anything_is_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = record(tmp_path, monkeypatch)
    file = Durable(tmp_path / "file", existing=False)
    assert [call.inode for call in calls if "file" in call.listing] == [tmp_path.stat().st_ino]
    file.append(b"a\n")
    assert (calls[-1].path, calls[-1].content) == (tmp_path / "file", b"a\n")


def test_what_is_appended_after_a_replacement_is_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "file"
    file = Durable(place, existing=False)
    file.replace(lambda: iter([b"a\n"]))
    calls = record(tmp_path, monkeypatch)
    file.append(b"b\n")
    assert [(call.inode, call.content) for call in calls] == [(place.stat().st_ino, b"a\nb\n")]


def test_a_replacement_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """A watch replaces its file for months."""
    file = Durable(tmp_path / "file", existing=False)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        file.replace(lambda: iter([b"a\n"]))
        with pytest.raises(ZeroDivisionError):
            file.replace(lambda: iter([b"%d" % (1 // 0)]))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
