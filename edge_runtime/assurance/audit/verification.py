"""Verify an audit log: every line, its place in the chain, and the hashes that are expected to be in it."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from edge_runtime.assurance.audit.entry import ORIGIN, EntryError, Link, SealedEntry, from_line, is_torn
from edge_runtime.assurance.audit.events import Lost, Mended, Missed, Rotated
from edge_runtime.assurance.audit.faults import break_of, fault_of, loss_of
from edge_runtime.assurance.audit.segments import rotated
from edge_runtime.errors import AuditError

LONGEST = 1 << 20
"""Largest number of bytes that are read as one line."""
Take = Callable[[SealedEntry], object]


@dataclass(frozen=True)
class Finding:
    """Something at a line of a file, from 1."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file.name}, line {self.line}: {self.text}"


@dataclass
class Verification:
    """The result for a log.

    Attributes:
        files: number of files.
        entries: number of valid entries.
        first, head: the first and the last of them; None if there is none.
        faults: what breaks the chain: changed, missing, inserted or moved lines.
        notes: what the log itself says of torn lines, jumps of the clock and times without log.
        missing: expected links that no entry has.
    """

    files: int = 0
    entries: int = 0
    first: Link | None = None
    head: Link | None = None
    faults: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether the chain is whole, and contains every expected hash."""
        return not self.faults and not self.missing


def files_of(path: Path) -> list[Path]:
    """Return the rotated files beside a log and the log, in order.

    Raises:
        AuditError: ``audit_unusable``.
    """
    try:
        current = [path] if path.is_file() else []  # first, as it may be rotated now
        found = [*rotated(path), *current]
    except OSError as error:
        raise _unusable(path, error.strerror or "no folder") from None
    if not found:
        raise _unusable(path, "no such file")
    return found


def verify_log(path: Path, expected: Iterable[str] = (), take: Take = id) -> Verification:
    """Verify a log with the rotated files beside it; as :func:`verify`.

    Commands may write and rotate it meanwhile: the file at ``path`` is opened first, and read last, up to its end then.
    """
    with ExitStack() as opened:
        current = _current(path)
        files = [each for each in files_of(path) if current is None or each != path]
        if current is None:
            return verify(files, expected, take)
        opened.enter_context(current)
        mine = os.fstat(current.fileno())
        before = list(itertools.takewhile(lambda each: not os.path.samestat(os.stat(each), mine), files))
        return _verified(before, (path, current), expected, take)


def verify(files: Iterable[Path], expected: Iterable[str] = (), take: Take = id) -> Verification:
    """Verify the files of one log.

    Args:
        files: in order, the oldest first.
        expected: hashes, or their beginnings, that entries must have, such as a head that was kept elsewhere.
        take: receives each valid entry.

    Raises:
        AuditError: a file cannot be read.
    """
    return _verified(files, None, expected, take)


def _verified(
    files: Iterable[Path], last: tuple[Path, BinaryIO] | None, expected: Iterable[str], take: Take
) -> Verification:
    walk, wanted = _Walk(take), dict.fromkeys(expected)
    for path in files:
        with _opened(path) as file:
            walk.file(path, file)
    if last is not None:
        walk.file(*last)
    result = walk.result
    result.missing = [each for each in wanted if not any(there.startswith(each) for there in walk.hashes)]
    return result


def _current(path: Path) -> BinaryIO | None:
    """Open the file that is written; None between its rotation and the next entry."""
    try:
        return path.open("rb") if path.is_file() else None
    except FileNotFoundError:  # rotated since
        return None
    except OSError as error:
        raise _unusable(path, error.strerror or "no file") from None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unusable(path, error.strerror or "no file") from None


class _Walk:
    """Walks through the lines of all files."""

    def __init__(self, take: Take) -> None:
        self.result, self._take = Verification(), take
        self.hashes: dict[str, int] = {}
        self._last: Link | None = None  # as the line above states it, also if it is no valid entry
        self._rest: list[bytes] = []

    def file(self, path: Path, file: BinaryIO) -> None:
        self.result.files += 1
        number = 0
        for number, line in enumerate(_lines(path, file), 1):
            try:
                sealed = from_line(line)
            except EntryError as error:
                self._broken(path, number, line, error)
            else:
                self._entry(path, number, sealed)
        self._unexplained(path, number + 1, at_end=True)

    def _broken(self, path: Path, number: int, line: bytes, error: EntryError) -> None:
        self._rest.append(line)
        if error.link is not None:  # a line that was edited still says where it was
            self._fault(path, number, str(error))
            self._last = error.link

    def _entry(self, path: Path, number: int, sealed: SealedEntry) -> None:
        entry, result, last = sealed.entry, self.result, self._last
        mended = isinstance(entry.event, Mended) and self._explains(entry.event)
        if isinstance(entry.event, Mended):
            last = result.head  # it follows the last valid entry
        if not mended:
            self._unexplained(path, number)
        elif self._rest:
            result.notes.append(Finding(path, number - len(self._rest), "torn by a power cut or a full disk"))
        self._rest = []
        if last is None and entry.number > 1 and isinstance(entry.event, Rotated | Mended):
            where = f" are in {entry.event.file}, which is" if isinstance(entry.event, Rotated) else " are"
            text = f"the entries before number {entry.number}{where} not here"
            result.notes.append(Finding(path, number, text))
        elif text := break_of(sealed, last or ORIGIN, self.hashes):
            self._fault(path, number, text)
        if isinstance(entry.event, Lost):
            self._fault(path, number, loss_of(entry.event))
        self._note(path, number, sealed)
        result.entries += 1
        result.first, result.head = result.first or sealed.link, sealed.link
        self.hashes[sealed.hash], self._last = entry.number, sealed.link
        self._take(sealed)

    def _explains(self, event: Mended) -> bool:
        """Return whether the lines that are no entries are those that the event names, and a power cut leaves such."""
        rest = b"".join(self._rest)
        named = rest[: event.bytes]
        same = hashlib.sha256(named).hexdigest() == event.sha256 and rest[event.bytes :] in (b"", b"\n")
        return same and all(map(is_torn, named.removesuffix(b"\n").split(b"\n")))

    def _unexplained(self, path: Path, number: int, *, at_end: bool = False) -> None:
        """Name the lines before ``number`` that are no entries."""
        end = "; the next entry that is written will name it" if at_end else ""
        for place, line in enumerate(self._rest, number - len(self._rest)):
            text = fault_of(line)
            if not text:
                continue
            if at_end and is_torn(line.rstrip(b"\n")):
                self.result.notes.append(Finding(path, place, f"torn by a power cut or a full disk{end}"))
            else:
                self._fault(path, place, text)
        if at_end:
            self._rest = []

    def _note(self, path: Path, number: int, sealed: SealedEntry) -> None:
        entry = sealed.entry
        if entry.clock_jump_ms is not None:
            way = "forward" if entry.clock_jump_ms > 0 else "back"
            text = f"the clock was set {way} by {abs(entry.clock_jump_ms) / 1000:.0f} s before this entry"
            self.result.notes.append(Finding(path, number, text))
        if isinstance(entry.event, Missed):
            text = f"the log could not be written from {entry.event.since} to {entry.time} [{entry.event.code}]"
            self.result.notes.append(Finding(path, number, text))

    def _fault(self, path: Path, number: int, text: str) -> None:
        self.result.faults.append(Finding(path, number, text))


def _lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    try:
        yield from iter(partial(file.readline, LONGEST), b"")
    except OSError as error:
        raise _unusable(path, error.strerror or "no file") from None


def _unusable(path: Path, reason: str) -> AuditError:
    return AuditError(f"{path}: found {reason}, expected an audit log. Name its file.")
