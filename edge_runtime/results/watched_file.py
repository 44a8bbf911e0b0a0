"""The results file of a watch, which users may move away, and the record of processed images beside it.

An image is processed if the record (``PATH.seen``) or the results file contains it. Where these differ, the results
file counts. The record also contains images whose lines were moved away with an older results file. If damage removed
a line, its image is processed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from edge_runtime.inference.prediction import Failure, LeftOutLine, Prediction
from edge_runtime.results.answered import AnsweredFile, ImageState
from edge_runtime.results.checks import check_kind, check_model, open_durable, write_error
from edge_runtime.results.file import Tell, final, silent
from edge_runtime.results.journal import Journal
from edge_runtime.results.lines import FileStamp, ImageIdentity, Origin, to_line
from edge_runtime.results.record import Line, LineKind
from edge_runtime.results.rotation import RotatingFile

_MARKS = {
    LineKind.ANSWER: ImageState.ANSWERED,
    LineKind.FAILURE: ImageState.FAILED,
    LineKind.LEFT_OUT: ImageState.LEFT_OUT,
}


class WatchedResults:
    """The files of a watch. Use it as a context manager. Methods raise ResultsWriteError if the disk fails."""

    def __init__(self, path: Path, origin: Origin, *, tell: Tell = silent) -> None:
        """Create the file or continue an existing one, and create ``PATH.seen`` and ``PATH.reading`` beside it.

        Args:
            path: path of the results file.
            origin: model and thresholds of the predictions that will be written. The file may contain lines of other
                versions of the model; each line names its bundle.
            tell: receives messages about damage, which is moved to ``PATH.damaged-N``.

        Raises:
            ResultsError: ``results_unusable``, ``results_in_use``, ``results_damaged`` (the file is no results file),
                ``results_other_release``, ``results_other_model`` or ``results_other_kind``.
        """
        self.path, self.origin, self._tell = path, origin, tell
        seen = path.with_name(f"{path.name}.seen")
        self._open: list[AnsweredFile | Journal | RotatingFile] = []
        try:
            with self._writing():
                self._memory = AnsweredFile(seen, open_durable(seen, existing=True))
                self._open.append(self._memory)
                if self._memory.aside is not None:
                    tell(f"{seen}: {self._memory.damaged} lines are damaged; a copy is in {self._memory.aside}.")
                self._keeper = _Keeper(self, self._memory)
                self._file = RotatingFile(path, self._keeper, tell, ours=len(self._memory) > 0)
                self._keeper.whole.clear()
                self._open.append(self._file)
                self._journal = Journal(path.with_name(f"{path.name}.reading"))
                self._open.append(self._journal)
                self._record_death()
        except BaseException:
            self.close()
            raise

    @property
    def lines(self) -> int:
        """Number of lines in the current results file."""
        return self._file.lines

    def __contains__(self, identity: object) -> bool:
        """Return whether the image is processed, in this or an earlier results file."""
        return identity in self._memory

    def __len__(self) -> int:
        """Return the number of images that were answered or failed, in this and earlier results files."""
        return len(self._memory)

    def deaths(self, identity: ImageIdentity) -> int:
        """Return how often the process died while it processed this image."""
        return self._memory.deaths(identity)

    def begin(self, identity: ImageIdentity) -> None:
        """Record on disk that this image is being processed."""
        with self._writing():
            self._journal.note(identity)

    def let_go(self) -> None:
        """Record that no image is being processed, and flush the record of processed images to disk."""
        with self._writing():
            self._journal.clear()
            self._memory.sync()

    def append(self, answer: Prediction | Failure, file: FileStamp | None) -> None:
        """Write one result (see :func:`final`) to the file that is now at the path, and flush it to disk."""
        self._write(
            final(answer, self.origin), file, ImageState.FAILED if isinstance(answer, Failure) else ImageState.ANSWERED
        )

    def take_over(self, origin: Origin) -> None:
        """Continue with another version of the model."""
        self.origin = origin

    def leave_out(self, image: str, reason: str, file: FileStamp | None) -> None:
        """Write that a file is left out."""
        self._write(LeftOutLine(image, reason, self.origin.bundle), file, ImageState.LEFT_OUT)

    def follow(self) -> bool:
        """Continue in a new file if this one was moved or removed. Return whether it was.

        Raises:
            ResultsError: ``results_in_use``: another process created a file at the path.
        """
        with self._writing():
            moved = self._file.follow()
            if moved:
                self._keeper.whole.clear()
                self._memory.sync()
            return moved

    def forget_failures(self) -> None:
        """Remove the lines and records of failed images, so that these are processed again."""
        with self._writing():
            self._file.take_out_failures()
            self._memory.forget_failures()

    def close(self) -> None:
        """Close the files and release their locks."""
        for file in reversed(self._open):
            file.close()
        self._open = []

    def __enter__(self) -> WatchedResults:
        """Return the files themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self.close()

    def _write(self, answer: Prediction | Failure | LeftOutLine, file: FileStamp | None, mark: ImageState) -> None:
        with self._writing():
            self._file.append((to_line(answer, file) + "\n").encode("ascii"))
            self._memory.note(ImageIdentity(answer.image, file), mark)

    def _record_death(self) -> None:
        """Record the image at which the previous process died, if it died and the image has no line."""
        image = self._journal.found()
        if image is not None and image not in self._memory:
            self._memory.note(image, ImageState.DIED)
            self._tell(f"{image.image}: the previous process died while it processed this image.")
        self.let_go()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_error(
                self.path, error, sum(f.lines for f in self._open if isinstance(f, RotatingFile))
            ) from None


class _Keeper:
    """Copies the lines of a results file into the record; see :class:`edge_runtime.results.rotation.AnsweredTracker`.

    Attributes:
        whole: images with a valid line in the file that is being opened.
    """

    def __init__(self, results: WatchedResults, memory: AnsweredFile) -> None:
        self._results, self._memory = results, memory
        self.whole: set[ImageIdentity] = set()

    def check(self, number: int, line: Line) -> None:
        check_kind(self._results.path, line, watching=True)
        check_model(self._results.path, number, line, self._results.origin)

    def learn(self, line: Line) -> None:
        self.whole.add(line.identity)
        self._memory.note(line.identity, _MARKS[line.kind])

    def begin(self) -> None:
        self.whole.clear()
        self._memory.begin_file()

    def lost(self) -> None:
        self._memory.forget_all_but(self.whole)
