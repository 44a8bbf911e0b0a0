"""Files that are replaced as a whole: whatever happens to the process, the old one or the new one is there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_whole(
    path: Path, content: bytes | Callable[[Path], object], *, part: Path | None = None, durable: bool = True
) -> None:
    """Write a file beside ``path``, hand it to the disk, and rename it to ``path``.

    Args:
        content: the bytes, or a function that writes them to the path that it is given. That path ends as ``path``
            does, because Keras chooses a format by it.
        part: the file that is written first, on the same file system; by default a hidden one in the same folder.
        durable: wait until content and name are on the disk. Without it, the file may be empty after a power cut.

    Raises:
        OSError: the disk is full, or the folder takes no files; ``path`` is as it was, and nothing else is left.
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
    except BaseException:  # an interruption, too, must not leave half a file on a disk that may be full
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
    """Have the names in ``folder`` written to the disk: a file without a name is lost however well it was written.

    Some file systems (FAT, on many a memory stick) know no such order, and systems without folder handles (Windows) do
    it by themselves.
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
