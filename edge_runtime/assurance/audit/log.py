"""Append to an audit log. Several processes may do so at once; every acknowledged entry is on the disk.

Nothing in the file is ever changed or cut. Bytes that a power cut left of a line stay where they are, and the next
entry names them (:class:`Mended`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.assurance.audit.clock import ClockReading
from edge_runtime.assurance.audit.entry import ORIGIN, SCHEMA, AuditEntry, Link, SealedEntry, is_torn
from edge_runtime.assurance.audit.events import Event, Lost, Mended, Rotated
from edge_runtime.assurance.audit.segments import name_of_rotated, newest_rotated, tail_of
from edge_runtime.errors import AuditError, AuditWriteError
from edge_runtime.platform.atomic_files import sync_names
from edge_runtime.results.append_only_file import Durable, InUseError

ROTATE_BYTES = 64 << 20
"""Size from which a file is rotated: about ten years of hourly summaries of one model."""
LOCK_S = 10.0
"""Longest wait for other processes that write."""
_LOOK_S = 0.005


class AuditLog:
    """The log at a path. No file is open between two calls, so that any process may rotate or read it."""

    def __init__(self, path: Path, *, rotate_bytes: int = ROTATE_BYTES, lock_s: float = LOCK_S) -> None:
        """Name the log; it is created by the first entry."""
        self.path = Path(os.path.realpath(path))
        self._rotate_bytes, self._lock_s = rotate_bytes, lock_s
        self.head: Link | None = None

    def append(self, events: Sequence[Event], run: str | None = None) -> Link:
        """Write entries, wait until they are on the disk, and return the place of the last one.

        Args:
            events: what the entries say, in order; at least one.
            run: as in :class:`AuditEntry`.

        Raises:
            AuditError: the file is not an audit log, so it is left as it is (``audit_foreign``).
            AuditWriteError: the disk is full or gone, or the folder cannot be written (``audit_write``), or other
                processes hold the lock (``audit_busy``). No entry was written.
        """
        with self._locked(), self._opened() as (file, before):
            if before is not None and file.size >= self._rotate_bytes:
                return self._rotated(file, before, events, run)
            return self._append(file, before, events, run)

    def require_writable(self) -> None:
        """Create the file if it is missing, and check that entries can be appended.

        Raises:
            AuditError, AuditWriteError: as :meth:`append`.
        """
        with self._locked(), self._opened() as (file, _):
            file.sync()

    def rotate(self) -> Path | None:
        """Rename the file, and begin a new one that continues the chain. Return the new name; None if it was empty.

        Raises:
            AuditError, AuditWriteError: as :meth:`append`.
        """
        with self._locked(), self._opened() as (file, before):
            if before is None or file.size == 0:
                return None
            self._rotated(file, before, (), None)
            return name_of_rotated(self.path, before.link)

    def _rotated(self, file: Durable, before: SealedEntry, events: Sequence[Event], run: str | None) -> Link:
        self._append(file, before, (), run)  # a torn end is named in the file that has it
        before = self._last(file) or before
        aside = name_of_rotated(self.path, before.link)
        self.path.rename(aside)
        sync_names(self.path.parent)
        new = _create(self.path)
        try:
            return self._append(new, before, (Rotated(aside.name), *events), run)
        finally:
            new.close()

    def _append(self, file: Durable, before: SealedEntry | None, events: Sequence[Event], run: str | None) -> Link:
        lines, last = [], before
        for event in (*self._found(file, before), *events):
            last = _sealed(last, event, run)
            lines.append(last.line)
        start = b"" if _ends_whole(file) else b"\n"
        file.append(start + b"".join(lines))
        self.head = ORIGIN if last is None else last.link
        return self.head

    def _found(self, file: Durable, before: SealedEntry | None) -> Iterator[Event]:
        """Yield what has to be said of the file as it was found."""
        if file.size:
            with file.reader() as reader:
                rest = tail_of(reader).rest
            if rest:
                yield Mended(len(rest), hashlib.sha256(rest).hexdigest())
        there = ORIGIN if before is None else before.link
        known = self.head
        if known is not None and (there.number < known.number or (there.number == known.number and there != known)):
            yield Lost(known.number, known.hash, there.number)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Durable, SealedEntry | None]]:
        """Open the file; also give the entry that the next one follows."""
        file = Durable(self.path, existing=True) if self.path.exists() else _create(self.path)
        try:
            last = self._last(file)
            if last is None and (continued := newest_rotated(self.path)) is not None:  # after a crash, or logrotate
                self._append(file, continued[1], (Rotated(continued[0].name),), None)
                last = self._last(file)
            yield file, last
        finally:
            file.close()

    def _last(self, file: Durable) -> SealedEntry | None:
        """Return the last entry.

        Raises:
            AuditError: ``audit_foreign``.
        """
        with file.reader() as reader:
            tail = tail_of(reader)
            reader.seek(0)
            first = reader.readline(1 << 16)
        if tail.last is None and tail.rest and not is_torn(first):
            raise AuditError(
                f"{self.path}: found a file that is no audit log. It is left as it is. Name another file.",
                code="audit_foreign",
            )
        return tail.last

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock file beside the log. The system releases it when the process ends, however it ends."""
        try:
            lock = os.open(
                f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o660
            )
            try:
                _give_to_owner(lock, self.path.parent)
                self._wait(lock)
                yield
            finally:
                os.close(lock)
        except InUseError:
            raise self._busy() from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise AuditWriteError(
                f"{self.path}: the audit log cannot be written ({reason}). Free space, or name a file in a folder that "
                "this user may write."
            ) from None

    def _wait(self, lock: int) -> None:
        end = time.monotonic() + self._lock_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise self._busy() from None
            time.sleep(_LOOK_S)

    def _busy(self) -> AuditWriteError:
        text = f"{self.path}: another process has locked the audit log. End it, or name another file."
        return AuditWriteError(text, code="audit_busy")


def _create(path: Path) -> Durable:
    file = Durable(path, existing=False)
    if os.geteuid() == 0:
        status = path.parent.stat()
        os.chown(path, status.st_uid, status.st_gid)
    return file


def _give_to_owner(lock: int, folder: Path) -> None:
    """If root writes first, let the folder's owner, such as the user of a service, write afterwards."""
    if os.geteuid() == 0:
        status = folder.stat()
        os.fchown(lock, status.st_uid, status.st_gid)


def _ends_whole(file: Durable) -> bool:
    if not file.size:
        return True
    with file.reader() as reader:
        reader.seek(-1, os.SEEK_END)
        return reader.read(1) == b"\n"


def _sealed(before: SealedEntry | None, event: Event, run: str | None) -> SealedEntry:
    clock = ClockReading.now()
    link, jump = ORIGIN, None
    if before is not None:
        link, last = before.link, before.entry
        jump = clock.jump_ms(ClockReading(last.time, last.boot, last.boot_ms))
    number = link.number + 1
    return SealedEntry.of(
        AuditEntry(SCHEMA, number, link.hash, clock.time, event, run, clock.boot, clock.boot_ms, jump)
    )
