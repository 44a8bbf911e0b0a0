"""The results file of a watch: people move it away, and what was answered is remembered beside it.

An image counts as answered if the memory or the results file says so. Where they differ, the line in the results file
counts, because people see it; what the results file no longer holds, the memory does. An answer that damage took from
the file is none any more: its image is asked again.
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
    """The files of a watch; use as a context manager. Methods raise ResultsWriteError where the disk refuses."""

    def __init__(self, path: Path, origin: Origin, *, tell: Tell = silent) -> None:
        """Make the file, or go on with it; ``PATH.seen`` and ``PATH.reading`` are made beside it.

        Args:
            origin: of the answers that will be written. Lines of other versions of the same model may stand beside
                them; each names its bundle.
            tell: what is told of damage, which is set aside in ``PATH.damaged-N``.

        Raises:
            ResultsError: ``results_unusable``, ``results_in_use``, ``results_damaged`` (a file that never was one),
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
                    tell(f"{seen}: {self._memory.damaged} lines are damaged; what it held is in {self._memory.aside}.")
                self._keeper = _Keeper(self, self._memory)
                self._file = RotatingFile(path, self._keeper, tell, ours=len(self._memory) > 0)
                self._keeper.whole.clear()
                self._open.append(self._file)
                self._journal = Journal(path.with_name(f"{path.name}.reading"))
                self._open.append(self._journal)
                self._bury()
        except BaseException:
            self.close()
            raise

    @property
    def lines(self) -> int:
        """How many lines the file at the path has."""
        return self._file.lines

    def __contains__(self, identity: object) -> bool:
        """Tell whether the image needs no answer any more, whichever file its line went to."""
        return identity in self._memory

    def __len__(self) -> int:
        """Return the number of images that were answered or have failed, whichever file their lines went to."""
        return len(self._memory)

    def deaths(self, identity: ImageIdentity) -> int:
        """Return how often the process died while it had this image at hand."""
        return self._memory.deaths(identity)

    def begin(self, identity: ImageIdentity) -> None:
        """Note on the disk that this image is at hand."""
        with self._writing():
            self._journal.note(identity)

    def let_go(self) -> None:
        """Note that no image is at hand; what was remembered so far reaches the disk."""
        with self._writing():
            self._journal.clear()
            self._memory.sync()

    def append(self, answer: Prediction | Failure, file: FileStamp | None) -> None:
        """Write one answer (as :func:`final` takes them) and hand it to the disk, into the file that is there now."""
        self._write(
            final(answer, self.origin), file, ImageState.FAILED if isinstance(answer, Failure) else ImageState.ANSWERED
        )

    def take_over(self, origin: Origin) -> None:
        """Go on with the answers of another version of the model."""
        self.origin = origin

    def leave_out(self, image: str, reason: str, file: FileStamp | None) -> None:
        """Write that a file is not asked about."""
        self._write(LeftOutLine(image, reason, self.origin.bundle), file, ImageState.LEFT_OUT)

    def follow(self) -> bool:
        """Go on in a new file if this one was moved or removed; tell whether it was.

        Raises:
            ResultsError: ``results_in_use``, another process has made one there.
        """
        with self._writing():
            moved = self._file.follow()
            if moved:
                self._keeper.whole.clear()
                self._memory.sync()
            return moved

    def forget_failures(self) -> None:
        """Have every image answered again that has failed; lines of failures are taken out of the file."""
        with self._writing():
            self._file.take_out_failures()
            self._memory.forget_failures()

    def close(self) -> None:
        """Close the files; another process may open them."""
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

    def _bury(self) -> None:
        """Remember whom the process before died of, if it did; an image that has a line is none of those."""
        victim = self._journal.found()
        if victim is not None and victim not in self._memory:
            self._memory.note(victim, ImageState.DIED)
            self._tell(f"{victim.image}: the process before this one died while it had this image at hand.")
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
    """Brings what a results file holds into the memory; see :class:`edge_runtime.results.rotation.Keeper`.

    Attributes:
        whole: images that have a whole line in the file that is being opened.
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
