"""What a program handed to the disk, in order: a file's or a folder's inode, and what stood where at that moment.

``os.fsync`` and ``os.fdatasync`` are wrapped and do their work. A wrapper sees how the folder looks while the call
runs, so that a test can tell a sync before a rename from one after it without knowing how either was written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Sync:
    """One call.

    Attributes:
        path: of what was handed over, as the kernel names it.
        content: a file's bytes at that moment; None for a folder.
        listing: below the folder that is watched, at that moment: path → inode.
    """

    path: Path
    inode: int
    content: bytes | None
    listing: dict[str, int]


def record(watched: Path, monkeypatch: pytest.MonkeyPatch, disturb: Callable[[Sync], None] | None = None) -> list[Sync]:
    """Return a list that grows with every sync from now on.

    Args:
        disturb: called after each sync, as a disk is that then loses something.
    """
    calls: list[Sync] = []

    def wrapped(call: Callable[[int], None]) -> Callable[[int], None]:
        def sync(file: int) -> None:
            call(file)
            status, path = os.fstat(file), Path(f"/proc/self/fd/{file}").readlink()
            content = None if stat.S_ISDIR(status.st_mode) else path.read_bytes()
            calls.append(Sync(path, status.st_ino, content, listed(watched)))
            if disturb is not None:
                disturb(calls[-1])

        return sync

    data, whole = wrapped(os.fdatasync), wrapped(os.fsync)
    monkeypatch.setattr(os, "fsync", whole)
    monkeypatch.setattr(os, "fdatasync", data)
    monkeypatch.setattr(
        "edge_runtime.results.append_only_file._sync", data, raising=False
    )  # bound when it was imported
    return calls


def listed(folder: Path) -> dict[str, int]:
    """Return the inode of everything below ``folder``, by its relative path."""
    return {path.relative_to(folder).as_posix(): path.lstat().st_ino for path in folder.rglob("*")}
