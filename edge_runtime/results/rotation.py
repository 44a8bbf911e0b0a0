"""Class :class:`RotatingFile`: a results file that may be moved, removed, truncated or damaged while it is open.

After each of these, writing continues in the file at the original path.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edge_runtime.errors import ResultsError, ResultsWriteError
from edge_runtime.results.append_only_file import Durable
from edge_runtime.results.checks import check_release, damaged, open_durable
from edge_runtime.results.damage import copy_aside, move_aside
from edge_runtime.results.entries import ResultsEntry, entries
from edge_runtime.results.file import Tell
from edge_runtime.results.record import Line, LineKind


class AnsweredTracker(Protocol):
    """Receives the lines of the file and its changes."""

    def check(self, number: int, line: Line) -> None:
        """Raise ResultsError if a line does not belong in this file."""

    def learn(self, line: Line) -> None:
        """Record a valid line."""

    def begin(self) -> None:
        """Record that the next lines go to a new file."""

    def lost(self) -> None:
        """Record that lines are damaged. Only the lines passed to :meth:`learn` since the file was opened are valid."""


class RotatingFile:
    """The file that is now at the path. Methods raise OSError if the disk fails."""

    def __init__(self, path: Path, keeper: AnsweredTracker, tell: Tell, *, ours: bool) -> None:
        """Create the file, or open and read it.

        Args:
            path: path of the file.
            keeper: receives the lines. If its check fails here, the error is raised. If it fails later, the whole
                file is moved to ``PATH.damaged-N``.
            tell: receives messages about damage.
            ours: move a file without any valid line to ``PATH.damaged-N`` as well. If False, raise an error, because
                the file may have been named by mistake.
        """
        self.path, self._keeper, self._tell = path, keeper, tell
        self.lines = 0
        self._file = self._opened(start=True, ours=ours)

    def append(self, data: bytes) -> None:
        """Write a line to the file that is now at the path, and flush it to disk."""
        self.follow()
        self._file.append(data)
        self.lines += 1

    def follow(self) -> bool:
        """Create a new file if this one was moved or removed. Return whether it was.

        Raises:
            ResultsError: ``results_in_use``: another process created a file at the path.
            ResultsWriteError: no file can be created.
        """
        if self._file.is_at(self.path):
            if self._file.shrank():  # logrotate's copytruncate
                self._keeper.begin()
            return False
        self._keeper.begin()
        try:
            new = self._opened(start=False, ours=True)
        except ResultsError as error:
            if error.code == "results_unusable":
                raise ResultsWriteError(error.message) from None
            raise
        self._file.close()
        self._file = new
        return True

    def take_out_failures(self) -> None:
        """Rewrite the file without the lines of failed images."""
        with self._file.reader() as old:
            lines = (entry for entry in entries(old) if entry.line is not None)
            self._file.replace(lambda: (entry.data for entry in lines if not _of_failure(entry)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _opened(self, *, start: bool, ours: bool) -> Durable:
        file = open_durable(self.path, existing=True)
        try:
            sound, fault, middle = self._read(file, start=start)
            if fault is None:
                if not sound:
                    self._keeper.begin()
                return file
            if not (ours or sound or fault.torn):
                raise damaged(self.path, fault)
            self._keeper.lost()
            if sound and not middle:
                aside = copy_aside(self.path, file, sound)
                file.cut(sound)
            else:
                aside = move_aside(self.path)
                file.close()
                file, self.lines = open_durable(self.path, existing=False), 0
                self._keeper.begin()
        except BaseException:
            file.close()
            raise
        self._tell(f"{self.path}: line {fault.number} is damaged ({fault.fault}); it was moved to {aside}.")
        return file

    def _read(self, file: Durable, *, start: bool) -> tuple[int, ResultsEntry | None, bool]:
        """Return the end of the last valid line, the first damaged line, and whether valid lines follow that one."""
        sound, fault, middle, self.lines = 0, None, False, 0
        with file.reader() as reader:
            for found in entries(reader):
                entry = self._checked(found, start=start)
                if entry.line is None:
                    fault = fault or entry
                    continue
                middle = fault is not None
                self._keeper.learn(entry.line)
                self.lines += 1
                sound = entry.start + len(entry.data)
        return sound, fault, middle

    def _checked(self, entry: ResultsEntry, *, start: bool) -> ResultsEntry:
        try:
            check_release(self.path, entry)
            if entry.line is not None:
                self._keeper.check(entry.number, entry.line)
        except ResultsError as error:
            if start:
                raise
            return replace(entry, line=None, fault=error.message)
        return entry


def _of_failure(entry: ResultsEntry) -> bool:
    return entry.line is not None and entry.line.kind is LineKind.FAILURE
