"""The files of one log: the one that is written, and those that were rotated away and are beside it.

A rotated file has the name of the log, a dot, and the number of its last entry, so that the names sort in order.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge_runtime.assurance.audit.entry import EntryError, Link, SealedEntry, from_line

_DIGITS = 12
_WINDOW = 1 << 16


@dataclass(frozen=True)
class Tail:
    """The end of a file.

    Attributes:
        last: the last valid entry; None if there is none. Its line end may be missing after a power cut.
        rest: the bytes after it, which are no entry.
    """

    last: SealedEntry | None
    rest: bytes

    @property
    def link(self) -> Link | None:
        """The link of the last entry."""
        return None if self.last is None else self.last.link


def tail_of(file: BinaryIO) -> Tail:
    """Return the end of a file. Only its last part is read, unless that contains no entry."""
    size = file.seek(0, os.SEEK_END)
    window = _WINDOW
    while True:
        start = max(0, size - window)
        file.seek(start)
        data = file.read(size - start)
        end = len(data)
        if (whole := _entry(data[data.rfind(b"\n") + 1 :])) is not None:
            return Tail(whole, b"")
        while (line_end := data.rfind(b"\n", 0, end)) >= 0:
            line_start = data.rfind(b"\n", 0, line_end) + 1
            if line_start == 0 and start > 0:
                break  # its beginning is outside the window
            if (found := _entry(data[line_start:line_end])) is not None:
                return Tail(found, data[line_end + 1 :])
            end = line_end
        if start == 0:
            return Tail(None, data)
        window *= 4


def _entry(line: bytes) -> SealedEntry | None:
    try:
        return from_line(line)
    except EntryError:
        return None


def name_of_rotated(path: Path, last: Link) -> Path:
    """Return the path that a file gets when it is rotated away; ``last`` is its last entry."""
    return path.with_name(f"{path.name}.{last.number:0{_DIGITS}}")


def rotated(path: Path) -> list[Path]:
    """Return the rotated files beside a log, the oldest first: those of this package, and those of logrotate.

    Raises:
        OSError: a file or the folder cannot be read.
    """
    pattern = re.compile(rf"{re.escape(path.name)}\.\d+", re.ASCII)
    names = [each for each in path.parent.iterdir() if pattern.fullmatch(each.name) and each.is_file()]
    found = [(link.number, each) for each in names if (link := _last_of(each)) is not None]
    return [each for _, each in sorted(found)]


def newest_rotated(path: Path) -> tuple[Path, SealedEntry] | None:
    """Return the newest rotated file and its last entry; None if there is none. Raises as :func:`rotated`."""
    found = rotated(path)
    if not found:
        return None
    with found[-1].open("rb") as file:
        last = tail_of(file).last
    return None if last is None else (found[-1], last)


def _last_of(path: Path) -> Link | None:
    with path.open("rb") as file:
        return tail_of(file).link
