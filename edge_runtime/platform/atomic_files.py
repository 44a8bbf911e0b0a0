"""What is written is on the disk, names included."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file as a whole: whatever happens to this process, it is the old one or the new one.

    It is not handed to the disk: after a power cut it may be empty.

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


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
