"""A results file that people and programs move, remove, cut and damage while it is written: writing goes on."""

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
    """Who keeps in mind what the file holds."""

    def check(self, number: int, line: Line) -> None:
        """Raise ResultsError if a line does not belong here."""

    def learn(self, line: Line) -> None:
        """Take a whole line."""

    def begin(self) -> None:
        """Take note that the lines from now on go to another file."""

    def lost(self) -> None:
        """Take note that lines are damaged: those that were learned since the file was opened are the whole ones."""


class RotatingFile:
    """The file that is at the path now. Methods raise OSError where the disk does."""

    def __init__(self, path: Path, keeper: AnsweredTracker, tell: Tell, *, ours: bool) -> None:
        """Make the file, or open it and read what it holds.

        Args:
            keeper: is told what the file holds. An error of its check is the caller's at the start; later the whole
                file is set aside.
            tell: what is told of damage.
            ours: a file without one whole line is set aside, too; else it may have been named by mistake.
        """
        self.path, self._keeper, self._tell = path, keeper, tell
        self.lines = 0
        self._file = self._opened(start=True, ours=ours)

    def append(self, data: bytes) -> None:
        """Write a line and hand it to the disk, into the file that is at the path now."""
        self.follow()
        self._file.append(data)
        self.lines += 1

    def follow(self) -> bool:
        """Go on in another file if this one was moved or removed; tell whether it was.

        Raises:
            ResultsError: ``results_in_use``, another process made one there.
            ResultsWriteError: none can be made.
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
        """Write the file anew without the lines of failed images."""
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
        self._tell(f"{self.path}: line {fault.number} is damaged ({fault.fault}); set aside in {aside}.")
        return file

    def _read(self, file: Durable, *, start: bool) -> tuple[int, ResultsEntry | None, bool]:
        """Return where the last whole line ends, the first damaged one, and whether whole ones follow that."""
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
