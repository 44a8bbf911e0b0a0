"""One change of the store at a time, and none of it half visible.

What is made or thrown away lies in a hidden folder of the store, which nothing looks into. A change holds the store
(flock on ``.lock``, which the system releases however a process ends) and first sweeps what a killed one left behind.
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
    """Yield the store's folder, held for one change and swept of what a killed one left.

    Raises:
        StoreError: there is no place for a store, or the disk refuses; whatever it refused is in the message.
    """
    store = store_folder()
    if store is None:
        raise StoreError(f"Found no home folder for installed bundles; name a folder in {PLACE}.")
    try:
        import fcntl
    except ImportError:
        raise StoreError("Bundles can be installed on POSIX systems alone; name a bundle by its path here.") from None
    try:
        store.mkdir(parents=True, exist_ok=True)
        with _lock_file(store / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep(store)
            yield store
    except OSError as error:
        raise StoreError(
            f"{store}: cannot be changed ({error}). The version in use is still a whole one (edge-bundle list); "
            f"free or unlock that disk, or name another store in {PLACE}."
        ) from None


def _lock_file(path: Path) -> IO[bytes]:
    """Open the file that a change holds; a pipe in its place would be waited for."""
    lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666), "r+b", buffering=0)
    mode = os.fstat(lock.fileno()).st_mode
    if not stat.S_ISREG(mode):
        lock.close()
        raise OSError(f"found {kind(mode)} for {path.name}, expected a regular file")
    return lock


def discard(path: Path, store: Path) -> None:
    """Take ``path`` away in one step, then delete it; a half-deleted bundle is never where one is looked for."""
    with hidden(store) as away:
        path.rename(away)
        sync_names(path.parent)


@contextmanager
def hidden(store: Path) -> Iterator[Path]:
    """Yield a path in the store that nothing looks into; what is left there afterwards is deleted."""
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
        shutil.rmtree(path, ignore_errors=True)  # the next change sweeps again
    else:
        path.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> None:
    """Write a new file, down to the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
