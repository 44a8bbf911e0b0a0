"""Class :class:`Results`: a file with one JSON line per image. Each line is complete or absent, even after a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from edge_runtime.inference.prediction import Failure, LeftOutLine, Prediction
from edge_runtime.results.checks import check_kind, check_origin, check_release, damaged, open_durable, write_error
from edge_runtime.results.damage import copy_aside
from edge_runtime.results.entries import ResultsEntry, entries
from edge_runtime.results.lines import ImageIdentity, Origin, to_line
from edge_runtime.results.record import LineKind

Tell = Callable[[str], object]
"""Receives a message for the user."""


def silent(text: str) -> None:
    """Ignore the message."""


class Results:
    """A results file that is open for appending, by one process at a time; use as a context manager."""

    def __init__(self, path: Path, origin: Origin, *, resume: bool, tell: Tell = silent) -> None:
        """Create the file, or open an existing one and check every line.

        Args:
            path: path of the file.
            origin: model and thresholds of the predictions that will be written.
            resume: continue an existing file. Without it, an existing file is rejected. A missing file is created.
            tell: receives a message if a damaged end was moved to ``PATH.damaged-N``.

        Raises:
            ResultsError: ``results_exists``, ``results_unusable``, ``results_in_use``, ``results_damaged``,
                ``results_other_release``, ``results_other_model`` or ``results_other_kind``.
            ResultsWriteError: a damaged end could not be moved.
        """
        self.path, self.origin = path, origin
        self._kinds: dict[ImageIdentity, LineKind] = {}
        self._file = open_durable(path, existing=resume)
        try:
            self._learn(tell)
        except BaseException:
            self.close()
            raise

    def __contains__(self, identity: object) -> bool:
        """Return whether the image has a prediction or a failure in the file; left-out files have neither."""
        return self._kinds.get(identity, LineKind.LEFT_OUT) is not LineKind.LEFT_OUT  # type: ignore[call-overload]

    def __len__(self) -> int:
        """Return the number of images with a prediction or a failure."""
        return sum(kind is not LineKind.LEFT_OUT for kind in self._kinds.values())

    def failed(self, identity: ImageIdentity) -> bool:
        """Return whether the line of the image is a failure."""
        return self._kinds.get(identity) is LineKind.FAILURE

    def append(self, answer: Prediction | Failure) -> None:
        """Write one result and flush it to disk.

        Args:
            answer: a prediction, or a failure of the image. Failures of the machine are not final and are rejected.

        Raises:
            ResultsWriteError: the disk is full or gone. The file ends with the previous result.
        """
        answer = final(answer, self.origin)
        self._write(answer, LineKind.FAILURE if isinstance(answer, Failure) else LineKind.ANSWER)

    def leave_out(self, image: str, reason: str) -> None:
        """Write, once, that a file in a folder is left out; raise ResultsWriteError as :meth:`append` does."""
        if ImageIdentity(image) not in self._kinds:
            self._write(LeftOutLine(image, reason, self.origin.bundle), LineKind.LEFT_OUT)

    def forget_failures(self) -> None:
        """Remove the lines of failed images, so that these are processed again. New lines go to the end of the file.

        Raises:
            ResultsWriteError: the disk is full or the folder cannot be written. No line was removed.
        """
        if LineKind.FAILURE not in self._kinds.values():
            return
        try:
            with self._file.reader() as old:
                self._file.replace(lambda: (entry.data for entry in entries(old) if not _of_failure(entry)))
        except OSError as error:
            raise write_error(self.path, error, len(self)) from None
        self._kinds = {identity: kind for identity, kind in self._kinds.items() if kind is not LineKind.FAILURE}

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()

    def __enter__(self) -> Results:
        """Return the file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _write(self, answer: Prediction | Failure | LeftOutLine, kind: LineKind) -> None:
        try:
            self._file.append((to_line(answer) + "\n").encode("ascii"))
        except OSError as error:
            raise write_error(self.path, error, len(self)) from None
        self._kinds[ImageIdentity(answer.image)] = kind

    def _learn(self, tell: Tell) -> None:
        """Read the file, and move everything after its last valid line to ``PATH.damaged-N``."""
        sound, fault = 0, None
        with self._file.reader() as file:
            for entry in entries(file):
                check_release(self.path, entry)
                fault = fault or (entry if entry.line is None else None)
                if entry.line is None:
                    continue
                if fault is not None:
                    raise damaged(self.path, fault)
                check_origin(self.path, entry.number, entry.line, self.origin)
                check_kind(self.path, entry.line, watching=False)
                self._kinds[entry.line.identity] = entry.line.kind
                sound = entry.start + len(entry.data)
        if fault is not None:
            self._set_aside(sound, fault, tell)

    def _set_aside(self, sound: int, fault: ResultsEntry, tell: Tell) -> None:
        """Move the damaged end away. A file without any valid line is rejected: it may have been named by mistake."""
        if not sound and not fault.torn:
            raise damaged(self.path, fault)
        try:
            aside = copy_aside(self.path, self._file, sound)
            self._file.cut(sound)
        except OSError as error:
            raise write_error(self.path, error, len(self)) from None
        tell(f"{self.path}: damaged from line {fault.number} on ({fault.fault}); this part was moved to {aside}.")


def final(answer: Prediction | Failure, origin: Origin) -> Prediction | Failure:
    """Return the result with its bundle set.

    Raises:
        ValueError: a failure of the machine, which is not final and does not belong in a results file.
    """
    if isinstance(answer, Prediction):
        return answer
    if answer.of_machine:
        raise ValueError(f"{answer.error.code}: a failure of the machine cannot be written to a results file")
    return answer.by(origin.bundle)


def _of_failure(entry: ResultsEntry) -> bool:
    return entry.line is not None and entry.line.kind is LineKind.FAILURE
