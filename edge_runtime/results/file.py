"""A results file: one JSON line an image, each whole or absent, whatever ended the command that wrote it."""

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
"""Takes a sentence for the person who started the command."""


def silent(text: str) -> None:
    """Tell nobody."""


class Results:
    """A results file that is open for appending, by one process at a time; use as a context manager."""

    def __init__(self, path: Path, origin: Origin, *, resume: bool, tell: Tell = silent) -> None:
        """Make the file, or open it to go on; every line of it is checked as a whole.

        Args:
            origin: of the answers that will be written.
            resume: go on with an existing file; without it, one is refused. A missing one is made.
            tell: what a damaged end is told to, which is set aside in ``PATH.damaged-N``.

        Raises:
            ResultsError: ``results_exists``, ``results_unusable``, ``results_in_use``, ``results_damaged``,
                ``results_other_release``, ``results_other_model`` or ``results_other_kind``.
            ResultsWriteError: a damaged end could not be set aside.
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
        """Tell whether the image has an answer or a failure here; a file that was left out has neither."""
        return self._kinds.get(identity, LineKind.LEFT_OUT) is not LineKind.LEFT_OUT  # type: ignore[call-overload]

    def __len__(self) -> int:
        """Return the number of images that have an answer or a failure."""
        return sum(kind is not LineKind.LEFT_OUT for kind in self._kinds.values())

    def failed(self, identity: ImageIdentity) -> bool:
        """Tell whether the image's line says why it got no answer."""
        return self._kinds.get(identity) is LineKind.FAILURE

    def append(self, answer: Prediction | Failure) -> None:
        """Write one answer and hand it to the disk.

        Args:
            answer: no failure of the machine: a file keeps what is final.

        Raises:
            ResultsWriteError: the disk is full or gone; the file ends with the answer before.
        """
        answer = final(answer, self.origin)
        self._write(answer, LineKind.FAILURE if isinstance(answer, Failure) else LineKind.ANSWER)

    def leave_out(self, image: str, reason: str) -> None:
        """Write that a file of a folder is not asked about, once (ResultsWriteError as :meth:`append`)."""
        if ImageIdentity(image) not in self._kinds:
            self._write(LeftOutLine(image, reason, self.origin.bundle), LineKind.LEFT_OUT)

    def forget_failures(self) -> None:
        """Take the lines of failed images out, so that these are answered again, at the end of the file.

        Raises:
            ResultsWriteError: the folder is full or cannot be written; nothing was taken out.
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
        """Close the file; another process may open it."""
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
        """Read what the file holds; set aside what follows its last whole line."""
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
        """Take away what ends the file; one without a whole line may have been named by mistake and is left alone."""
        if not sound and not fault.torn:
            raise damaged(self.path, fault)
        try:
            aside = copy_aside(self.path, self._file, sound)
            self._file.cut(sound)
        except OSError as error:
            raise write_error(self.path, error, len(self)) from None
        tell(f"{self.path}: line {fault.number} and what follows is damaged ({fault.fault}); set aside in {aside}.")


def final(answer: Prediction | Failure, origin: Origin) -> Prediction | Failure:
    """Return what a results file may keep, with the bundle that answered.

    Raises:
        ValueError: a failure of the machine; the image is to be asked again.
    """
    if isinstance(answer, Prediction):
        return answer
    if answer.of_machine:
        raise ValueError(f"{answer.error.code}: a fault of the machine is no line of a results file")
    return answer.by(origin.bundle)


def _of_failure(entry: ResultsEntry) -> bool:
    return entry.line is not None and entry.line.kind is LineKind.FAILURE
