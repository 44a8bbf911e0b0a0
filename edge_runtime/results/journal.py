"""Class :class:`Journal`: the current image is written to disk before it is read.

If the process dies, the next start finds the image at which it died. The file has a fixed size and is overwritten in
place, which is faster than appending to a file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from zlib import crc32

from edge_runtime.platform.atomic_files import sync_names
from edge_runtime.results.lines import FileStamp, ImageIdentity

_SIZE = 1 << 16
"""Size of the file in bytes: enough for the longest possible path with every byte escaped."""
_PAGE = 4096
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Journal:
    """The journal file of one process. Every method raises OSError if the disk fails."""

    def __init__(self, path: Path) -> None:
        """Open the file, or create it at its full size."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        missing = _SIZE - os.fstat(self._file).st_size
        if missing > 0:
            os.pwrite(self._file, b"\0" * missing, _SIZE - missing)
            os.fsync(self._file)
            sync_names(path.parent)

    def found(self) -> ImageIdentity | None:
        """Return the recorded image; None if there is none or the record is incomplete."""
        text, _, _ = os.pread(self._file, _SIZE, 0).partition(b"\n")
        try:
            check, _, record = text.partition(b" ")
            if int(check, 16) != crc32(record):
                return None
            image, size, modified_ns = json.loads(record)
            return ImageIdentity(image, FileStamp(size, modified_ns))
        except ValueError:
            return None

    def note(self, identity: ImageIdentity) -> None:
        """Record the image and flush it to disk."""
        stamp = identity.file or FileStamp(0, 0)
        record = json.dumps([identity.image, stamp.bytes, stamp.modified_ns]).encode("ascii")
        text = b"%08x %s\n" % (crc32(record), record)
        os.pwrite(self._file, text.ljust(-(-len(text) // _PAGE) * _PAGE, b"\0"), 0)
        _sync(self._file)

    def clear(self) -> None:
        """Clear the record. No flush is needed: an image with a result is not counted as a cause of death."""
        os.pwrite(self._file, b"\0" * _PAGE, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
