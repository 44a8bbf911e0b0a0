"""The image at hand, noted on the disk before it is touched: who kills the process is known afterwards.

One block of a file that keeps its size, written over in place: that costs the disk less than a file that grows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from zlib import crc32

from edge_runtime.platform.atomic_files import sync_names
from edge_runtime.results.lines import FileStamp, ImageIdentity

_SIZE = 1 << 16
"""Bytes of the file: the longest path that a system takes, every byte of it escaped, and room to spare."""
_PAGE = 4096
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Journal:
    """The note of one process; every method raises OSError where the disk does."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it at its full size."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        missing = _SIZE - os.fstat(self._file).st_size
        if missing > 0:
            os.pwrite(self._file, b"\0" * missing, _SIZE - missing)
            os.fsync(self._file)
            sync_names(path.parent)

    def found(self) -> ImageIdentity | None:
        """Return the image that was noted and not cleared, None if there is none or the note is torn."""
        text, _, _ = os.pread(self._file, _SIZE, 0).partition(b"\n")
        try:
            check, _, said = text.partition(b" ")
            if int(check, 16) != crc32(said):
                return None
            image, size, modified_ns = json.loads(said)
            return ImageIdentity(image, FileStamp(size, modified_ns))
        except ValueError:
            return None

    def note(self, identity: ImageIdentity) -> None:
        """Write the image down, to the disk."""
        stamp = identity.file or FileStamp(0, 0)
        said = json.dumps([identity.image, stamp.bytes, stamp.modified_ns]).encode("ascii")
        text = b"%08x %s\n" % (crc32(said), said)
        os.pwrite(self._file, text.ljust(-(-len(text) // _PAGE) * _PAGE, b"\0"), 0)
        _sync(self._file)

    def clear(self) -> None:
        """Take the note away. It need not reach the disk: an image that was answered is no suspect."""
        os.pwrite(self._file, b"\0" * _PAGE, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
