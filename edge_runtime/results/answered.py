"""The file ``RESULTS.seen``: the images that a watch has processed. It remains when users move the results file.

Each line contains a CRC-32 (zlib, hexadecimal), a space, and a JSON list of mark, path, size and time of last change.
Lines are appended. The file is rewritten when more than half of its lines are obsolete.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from edge_runtime.results.append_only_file import Durable
from edge_runtime.results.damage import copy_aside
from edge_runtime.results.entries import LONGEST
from edge_runtime.results.lines import FileStamp, ImageIdentity

_SLACK = 1000
"""Number of obsolete lines that are always tolerated before the file is rewritten."""


_NOBODY = ImageIdentity("")


class ImageState(enum.Enum):
    """The recorded state of an image."""

    ANSWERED = "+"
    FAILED = "-"
    LEFT_OUT = "/"
    DIED = "?"  # the process died while it processed this image; may occur several times
    NEW_FILE = ">"  # not an image: the results of the following images are in another results file


class AnsweredFile:
    """The opened file. Every method raises OSError if the disk fails."""

    def __init__(self, path: Path, file: Durable) -> None:
        """Read the file and skip damaged lines.

        Args:
            path: path of the file.
            file: the opened file at ``path``.
        """
        self.path, self._file = path, file
        self._marks: dict[ImageIdentity, ImageState] = {}
        self._deaths: dict[ImageIdentity, int] = {}
        self._here: dict[ImageIdentity, None] = {}  # images whose line is in the current results file, in order
        self.damaged = 0
        try:
            lines = self._read()
            self.aside = copy_aside(path, file, 0) if self.damaged else None
            if self.damaged or lines > 2 * (len(self._marks) + len(self._deaths)) + _SLACK:
                self._file.replace(self._pieces)
        except BaseException:
            file.close()
            raise

    def __contains__(self, identity: object) -> bool:
        """Return whether the image was answered, has failed or was left out."""
        return identity in self._marks

    def __len__(self) -> int:
        """Return the number of images that were answered or failed."""
        return sum(mark is not ImageState.LEFT_OUT for mark in self._marks.values())

    def mark(self, identity: ImageIdentity) -> ImageState | None:
        """Return the state of an image; None if it is unknown or the process died at it."""
        return self._marks.get(identity)

    def deaths(self, identity: ImageIdentity) -> int:
        """Return how often the process died while it processed this image."""
        return self._deaths.get(identity, 0)

    def note(self, identity: ImageIdentity, mark: ImageState) -> None:
        """Record the state of an image. It survives a killed process now, and a power cut after :meth:`sync`."""
        if self._marks.get(identity) is not mark:
            self._file.append(_line(identity, mark), sync=False)
            self._take(identity, mark)

    def begin_file(self) -> None:
        """Record that a new results file starts."""
        if self._here:
            self._file.append(_line(_NOBODY, ImageState.NEW_FILE), sync=False)
            self._take(_NOBODY, ImageState.NEW_FILE)

    def forget_all_but(self, whole: Container[ImageIdentity]) -> int:
        """Forget the images of the current results file that are not in ``whole``; return their number.

        Args:
            whole: images that have an undamaged line in the current results file.
        """
        lost = [identity for identity in self._here if identity not in whole]
        for identity in lost:
            del self._here[identity], self._marks[identity]
        if lost:
            self._file.replace(self._pieces)
        return len(lost)

    def sync(self) -> None:
        """Flush all records to the disk."""
        self._file.sync()

    def forget_failures(self) -> None:
        """Forget the failed images, and the images at which the process died."""
        self._marks = {identity: mark for identity, mark in self._marks.items() if mark is not ImageState.FAILED}
        self._here = {identity: None for identity in self._here if identity in self._marks}
        self._deaths = {}
        self._file.replace(self._pieces)

    def close(self) -> None:
        """Flush and close the file. Errors of the flush are ignored."""
        with suppress(OSError):  # the results file still contains any lost record
            self._file.sync()
        self._file.close()

    def _take(self, identity: ImageIdentity, mark: ImageState) -> None:
        if mark is ImageState.NEW_FILE:
            self._here = {}
        elif mark is ImageState.DIED:
            self._deaths[identity] = self.deaths(identity) + 1
        else:
            self._marks[identity] = mark
            self._here[identity] = None
            self._deaths.pop(identity, None)

    def _read(self) -> int:
        """Read all undamaged lines; return their number."""
        lines = 0
        with self._file.reader() as file:
            while data := file.readline(LONGEST):
                record = _from_line(data)
                if record is None:
                    self.damaged += 1
                else:
                    lines += 1
                    self._take(*record)
        return lines

    def _pieces(self) -> Iterator[bytes]:
        for identity, mark in self._marks.items():
            if identity not in self._here:
                yield _line(identity, mark)
        yield _line(_NOBODY, ImageState.NEW_FILE)
        for identity in self._here:
            yield _line(identity, self._marks[identity])
        for identity, times in self._deaths.items():
            yield _line(identity, ImageState.DIED) * times


def _line(identity: ImageIdentity, mark: ImageState) -> bytes:
    stamp = identity.file or FileStamp(0, 0)
    text = json.dumps([mark.value, identity.image, stamp.bytes, stamp.modified_ns]).encode("ascii")
    return b"%08x %s\n" % (crc32(text), text)


def _from_line(data: bytes) -> tuple[ImageIdentity, ImageState] | None:
    """Return the image and state of a line; None if the line is damaged."""
    check, _, text = data.rstrip(b"\n").partition(b" ")
    try:
        if not data.endswith(b"\n") or int(check, 16) != crc32(text):
            return None
        mark, image, size, modified_ns = json.loads(text)
        return ImageIdentity(image, FileStamp(size, modified_ns)), ImageState(mark)
    except ValueError:
        return None
