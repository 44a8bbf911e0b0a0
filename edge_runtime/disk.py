"""What is written is on the disk, names included."""

from __future__ import annotations

import errno
import os
from pathlib import Path


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
