"""Names on the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge_runtime.platform.atomic_files import sync_names


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
