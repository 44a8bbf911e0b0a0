"""Replace files atomically: after any interruption, the old or the new file is complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(
    path: Path, content: bytes | Callable[[Path], object], *, part: Path | None = None, durable: bool = True
) -> None:
    """Write a temporary file, flush it to the disk, and rename it to ``path``.

    Args:
        path: the file to write or replace.
        content: the bytes, or a function that writes them to the path passed to it. That path has the extension of
            ``path``, as Keras selects the format by it.
        part: the temporary file, on the same file system; by default a hidden file in the same folder.
        durable: wait until content and name are on the disk. Otherwise the file may be empty after a power failure.

    Raises:
        OSError: the disk is full, or the folder is not writable. ``path`` is unchanged, and no other file is left.
    """
    part = part or path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        if callable(content):
            content(part)
        else:
            part.write_bytes(content)
        if durable:
            sync_content(part)
        part.replace(path)
    except BaseException:  # after an interruption, too, no partial file may remain on a disk that may be full
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        sync_names(path.parent)


def sync_content(path: Path) -> None:
    """Wait until the content of ``path`` is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_names(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk: a file whose name is not written is lost.

    Some file systems (FAT, on many memory sticks) do not support this, and systems without folder handles (Windows) do
    not require it.
    """
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
