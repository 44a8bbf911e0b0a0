"""Verify an audit log: every line, its place in the chain, and the hashes that are expected to be in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.assurance.audit.entry import ORIGIN, EntryError, Link, SealedEntry, from_line, is_torn
from edge_runtime.assurance.audit.events import Lost, Mended, Missed, Rotated
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
        entries: number of valid entries.
        first, head: the first and the last of them; None if there is none.
        faults: what breaks the chain: changed, missing, inserted or moved lines.
        notes: what the log itself says of torn lines, jumps of the clock and times without log.
        missing: expected links that no entry has.
    """

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
        found = [*rotated(path), *([path] if path.is_file() else ())]
    except OSError as error:
        raise _unusable(path, error.strerror or "no folder") from None
    if not found:
        raise _unusable(path, "no such file")
    return found


def verify(files: Iterable[Path], expected: Iterable[str] = (), take: Take = id) -> Verification:
    """Verify the files of one log.

    Args:
        files: in order, the oldest first.
        expected: hashes (64 hexadecimal digits) that entries must have, such as a head that was kept elsewhere.
        take: receives each valid entry.

    Raises:
        AuditError: a file cannot be read.
    """
    walk, wanted = _Walk(take), dict.fromkeys(expected)
    for path in files:
        try:
            with path.open("rb") as file:
                walk.file(path, iter(lambda: file.readline(LONGEST), b""))
        except OSError as error:
            raise _unusable(path, error.strerror or "no file") from None
    result = walk.result
    result.missing = [each for each in wanted if each not in walk.hashes]
    return result


class _Walk:
    """Walks through the lines of all files."""

    def __init__(self, take: Take) -> None:
        self.result, self._take = Verification(), take
        self.hashes: dict[str, int] = {}
        self._last: Link | None = None  # as the line above states it, also if it is no valid entry
        self._rest: list[bytes] = []

    def file(self, path: Path, lines: Iterator[bytes]) -> None:
        number = 0
        for number, line in enumerate(lines, 1):
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
        elif text := _break_of(sealed, last or ORIGIN, self.hashes):
            self._fault(path, number, text)
        if isinstance(entry.event, Lost):
            self._fault(path, number, _lost(entry.event))
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
            text = _fault_of(line)
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


def _fault_of(line: bytes) -> str:
    """Return why a line is no entry; empty if it was named already, as it states its place."""
    try:
        from_line(line)
    except EntryError as error:
        return "" if error.link is not None else str(error)
    return ""


def _break_of(sealed: SealedEntry, last: Link, hashes: dict[str, int]) -> str:
    """Return why an entry does not follow the one before it; empty if it does."""
    number, expected = sealed.entry.number, last.number + 1
    if number == expected and sealed.entry.previous == last.hash:
        return ""
    if sealed.hash in hashes:
        return f"a copy of entry {number}, which is above"
    if number > expected:
        missing = f"entry {expected}" if number == expected + 1 else f"entries {expected} to {number - 1}"
        return f"found entry {number}: {missing} was removed or moved"
    if number < expected:
        return f"found entry {number}, expected {expected}: a line was moved or inserted"
    return f"found entry {number}, which does not follow the line above: one of the two was replaced"


def _lost(event: Lost) -> str:
    if not event.found:
        return f"entries 1 to {event.number} were removed while the service ran"
    if event.found == event.number:
        return f"entry {event.number} was replaced while the service ran"
    return f"entries {event.found + 1} to {event.number} were cut off while the service ran"


def _unusable(path: Path, reason: str) -> AuditError:
    return AuditError(f"{path}: found {reason}, expected an audit log. Name its file.")
