"""Which images a watch has answered, kept apart from the results file that people move away.

``RESULTS.seen`` holds a line an image: a CRC-32 (zlib, hexadecimal), a space, and a JSON list of mark, path, size and
time of last change. Lines are added; the file is written anew where more than half of it says nothing any more.
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
"""Lines that may say nothing any more before the file is written anew."""


_NOBODY = ImageIdentity("")


class ImageState(enum.Enum):
    """What is remembered of an image."""

    ANSWERED = "+"
    FAILED = "-"
    LEFT_OUT = "/"
    DIED = "?"  # the process died while it had this image at hand; may come several times
    NEW_FILE = ">"  # of no image: the lines of what follows went to another results file


class AnsweredFile:
    """The opened file. Every method raises OSError where the disk does."""

    def __init__(self, path: Path, file: Durable) -> None:
        """Read the file; damaged lines of it are skipped.

        Args:
            file: the opened file at ``path``.
        """
        self.path, self._file = path, file
        self._marks: dict[ImageIdentity, ImageState] = {}
        self._deaths: dict[ImageIdentity, int] = {}
        self._here: dict[ImageIdentity, None] = {}  # those whose line went to the results file of now, in order
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
        """Tell whether the image needs no answer any more."""
        return identity in self._marks

    def __len__(self) -> int:
        """Return the number of images that were answered or have failed."""
        return sum(mark is not ImageState.LEFT_OUT for mark in self._marks.values())

    def mark(self, identity: ImageIdentity) -> ImageState | None:
        """Return what is remembered; None where nothing is or the process died."""
        return self._marks.get(identity)

    def deaths(self, identity: ImageIdentity) -> int:
        """Return how often the process died while it had this image at hand."""
        return self._deaths.get(identity, 0)

    def note(self, identity: ImageIdentity, mark: ImageState) -> None:
        """Remember; the system has it when this returns, the disk after :meth:`sync`."""
        if self._marks.get(identity) is not mark:
            self._file.append(_line(identity, mark), sync=False)
            self._take(identity, mark)

    def begin_file(self) -> None:
        """Note that another results file begins."""
        if self._here:
            self._file.append(_line(_NOBODY, ImageState.NEW_FILE), sync=False)
            self._take(_NOBODY, ImageState.NEW_FILE)

    def forget_all_but(self, whole: Container[ImageIdentity]) -> int:
        """Forget whose lines went to the results file of now and are not ``whole`` there; return how many."""
        lost = [identity for identity in self._here if identity not in whole]
        for identity in lost:
            del self._here[identity], self._marks[identity]
        if lost:
            self._file.replace(self._pieces)
        return len(lost)

    def sync(self) -> None:
        """Hand everything to the disk."""
        self._file.sync()

    def forget_failures(self) -> None:
        """Forget the images that failed, and who killed the process."""
        self._marks = {identity: mark for identity, mark in self._marks.items() if mark is not ImageState.FAILED}
        self._here = {identity: None for identity in self._here if identity in self._marks}
        self._deaths = {}
        self._file.replace(self._pieces)

    def close(self) -> None:
        """Close the file, and have the disk hold what it takes."""
        with suppress(OSError):  # what is lost here, the results file holds
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
        """Take every whole line; return how many there are."""
        lines = 0
        with self._file.reader() as file:
            while data := file.readline(LONGEST):
                found = _from_line(data)
                if found is None:
                    self.damaged += 1
                else:
                    lines += 1
                    self._take(*found)
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
    said = json.dumps([mark.value, identity.image, stamp.bytes, stamp.modified_ns]).encode("ascii")
    return b"%08x %s\n" % (crc32(said), said)


def _from_line(data: bytes) -> tuple[ImageIdentity, ImageState] | None:
    """Return what a line says, None if it is damaged."""
    check, _, said = data.rstrip(b"\n").partition(b" ")
    try:
        if not data.endswith(b"\n") or int(check, 16) != crc32(said):
            return None
        mark, image, size, modified_ns = json.loads(said)
        return ImageIdentity(image, FileStamp(size, modified_ns)), ImageState(mark)
    except ValueError:
        return None
