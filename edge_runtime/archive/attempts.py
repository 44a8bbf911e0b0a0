"""Class :class:`Attempts`: which image of a shard is being processed, so that one that kills its process is found.

The number of the record is written before the image is read, without a flush: it survives the death of the process, and
a death of the whole machine is not the image's fault.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

DEATHS = 3
"""Deaths of the process at one image in a row, after which the image gets an error."""
_SIZE = 4096


class Attempts:
    """The attempts file of one shard. Use it as a context manager: a regular end removes the file.

    Attributes:
        killers: records that killed the process :data:`DEATHS` times.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and count the death that it tells of.

        Raises:
            OSError: the file cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._record, self._deaths, self.killers = self._found()

    def _found(self) -> tuple[int, int, set[int]]:
        try:
            record, deaths, *killers = json.loads(os.pread(self._file, _SIZE, 0).rstrip(b"\0 \n"))
        except ValueError:
            return -1, 0, set()
        deaths += 1
        return (-1, 0, {*killers, record}) if deaths >= DEATHS else (record, deaths, set(killers))

    def begin(self, record: int) -> None:
        """Write that this record is processed now."""
        deaths = self._deaths if record == self._record else 0
        text = json.dumps([record, deaths, *sorted(self.killers)]).encode("ascii")
        os.pwrite(self._file, text.ljust(64) + b"\n", 0)

    def __enter__(self) -> Attempts:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)
        with suppress(OSError):
            self._path.unlink()
