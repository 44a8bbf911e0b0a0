"""Transactions of the store: one change at a time, and no partial change is visible.

New and deleted files lie in a hidden folder of the store, which is never read. A change locks the store (flock on
``.lock``, which the system releases when the process ends) and first deletes the leftovers of a killed process.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edge_runtime.bundle.registry.pointers import PLACE, store_folder
from edge_runtime.errors import StoreError
from edge_runtime.platform.atomic_files import sync_names
from edge_runtime.platform.regular_files import kind

_HIDDEN = ".work-"


@contextmanager
def changing() -> Iterator[Path]:
    """Yield the store's folder, locked for one change and free of leftovers.

    Raises:
        StoreError: there is no folder for a store, or the file system reports an error, which the message contains.
    """
    store = store_folder()
    if store is None:
        raise StoreError(f"Found no home folder for installed bundles, expected one. Name a folder in {PLACE}.")
    try:
        import fcntl
    except ImportError:
        raise StoreError("Bundles can be installed only on POSIX systems. Name a bundle by its path.") from None
    try:
        store.mkdir(parents=True, exist_ok=True)
        with _lock_file(store / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep(store)
            yield store
    except OSError as error:
        raise StoreError(
            f"{store}: cannot be changed ({error}). The version in use is still complete (edge-bundle list). "
            f"Free or unlock that disk, or name another store in {PLACE}."
        ) from None


def _lock_file(path: Path) -> IO[bytes]:
    """Open the lock file. It must be a regular file, as opening a pipe would block."""
    lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666), "r+b", buffering=0)
    mode = os.fstat(lock.fileno()).st_mode
    if not stat.S_ISREG(mode):
        lock.close()
        raise OSError(f"found {kind(mode)} for {path.name}, expected a regular file")
    return lock


def discard(path: Path, store: Path) -> None:
    """Move ``path`` into a hidden folder in one step, then delete it, so that no half-deleted bundle is visible."""
    with hidden(store) as away:
        path.rename(away)
        sync_names(path.parent)


@contextmanager
def hidden(store: Path) -> Iterator[Path]:
    """Yield an unused hidden path in the store, which is never read; delete what is left there afterwards."""
    path = store / f"{_HIDDEN}{os.getpid()}-{os.urandom(4).hex()}"
    try:
        yield path
    finally:
        _delete(path)


def _sweep(store: Path) -> None:
    for left in store.glob(f"{_HIDDEN}*"):
        _delete(left)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)  # the next change deletes what is left
    else:
        path.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> None:
    """Write a new file and wait until its content is on the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
