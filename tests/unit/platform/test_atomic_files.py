"""Names on the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge_runtime.platform.atomic_files import sync_names, write_whole
from tests.unit.platform.sync_record import record


def _refusing(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    handles: list[int] = []

    def fsync(handle: int) -> None:
        handles.append(handle)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    return handles


def test_a_file_system_that_knows_no_such_order_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handles = _refusing(monkeypatch, errno.EINVAL)
    sync_names(tmp_path)
    assert len(handles) == 1
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(handles[0])


def test_a_disk_that_fails_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handles = _refusing(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        sync_names(tmp_path)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(handles[0])


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_the_old_one_until_the_new_one_is_whole(durable: bool, tmp_path: Path) -> None:
    path = tmp_path / "network.keras"
    path.write_bytes(b"old")
    seen: list[Path] = []

    def fill(part: Path) -> None:
        seen.append(part)
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"

    write_whole(path, fill, durable=durable)
    assert (path.read_bytes(), seen[0].suffix, list(tmp_path.iterdir())) == (b"new", ".keras", [path])


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    old, calls = path.stat().st_ino, record(tmp_path, monkeypatch)
    write_whole(path, b"new")
    assert [(call.content, call.listing["file"] == old) for call in calls] == [(b"new", True), (None, False)]


def test_what_ends_the_writing_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted(part: Path) -> None:
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, interrupted)
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "file", b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])
