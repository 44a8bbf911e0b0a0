"""A results file: one JSON line a picture, each whole or absent, whatever ended the command that wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from edge_runtime.errors import ResultsError, ResultsWriteError
from edge_runtime.left_out import LeftOut
from edge_runtime.prediction import Failure, Prediction
from edge_runtime.results.durable import Durable, InUseError
from edge_runtime.results.lines import HEAD, FileStamp, Identity, Line, Origin, from_line, to_line
from edge_runtime.spec import ModelSpec

_LONGEST = 1 << 20
"""Bytes of a line; no path and no message is nearly as long."""


class Results:
    """A results file that is open for appending, by one process at a time; use as a context manager."""

    def __init__(self, path: Path, spec: ModelSpec, *, resume: bool, watching: bool = False) -> None:
        """Make the file, or open it to go on.

        Args:
            spec: of the model whose answers will be written.
            resume: go on with an existing file; without it, one is refused. A missing one is made.
            watching: each picture's stamp is written beside its path and belongs to its identity.

        Raises:
            ResultsError: ``results_exists``, ``results_unusable``, ``results_in_use``,
                ``results_damaged``, ``results_other_model`` or ``results_other_kind``.
        """
        self.path = path
        self._watching = watching
        self._failed: dict[Identity, bool] = {}
        self._left_out: set[LeftOut] = set()
        self._file = _opened(path, resume)
        try:
            self._learn(Origin.of(spec))
        except BaseException:
            self.close()
            raise

    def __contains__(self, identity: object) -> bool:
        """Tell whether the picture has a line."""
        return identity in self._failed

    def __len__(self) -> int:
        """Return the number of pictures that have a line."""
        return len(self._failed)

    def failed(self, identity: Identity) -> bool:
        """Tell whether the picture's line says why it got no answer."""
        return self._failed.get(identity, False)

    def append(self, answer: Prediction | Failure, file: FileStamp | None = None) -> None:
        """Write one answer and hand it to the disk.

        Raises:
            ResultsWriteError: the disk is full or gone; the file ends with the answer before.
        """
        try:
            self._file.append((to_line(answer, file) + "\n").encode("ascii"))
        except OSError as error:
            raise self._write_error(error) from None
        self._failed[Identity(answer.image, file)] = isinstance(answer, Failure)

    def leave_out(self, items: Iterable[LeftOut]) -> None:
        """Write down what was left out, each once for each reason; it stays to be answered if it becomes an image.

        Raises:
            ResultsWriteError: as :meth:`append`.
        """
        new = [item for item in dict.fromkeys(items) if item not in self._left_out]
        if not new:
            return
        try:
            self._file.append("".join(json.dumps(item.to_dict()) + "\n" for item in new).encode("ascii"))
        except OSError as error:
            raise self._write_error(error) from None
        self._left_out.update(new)

    def forget_failures(self) -> None:
        """Take the lines of failed pictures out, so that these are answered again, at the end of the file.

        Raises:
            ResultsWriteError: the folder is full or cannot be written; nothing was taken out.
        """
        if not any(self._failed.values()):
            return
        try:
            self._file.replace(lambda: (data for data, line in self._lines() if line.origin or line.left_out))
        except OSError as error:
            raise self._write_error(error) from None
        self._failed = {identity: False for identity, failed in self._failed.items() if not failed}

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

    def _learn(self, origin: Origin) -> None:
        """Read what the file holds, and cut off what follows its last whole line."""
        size = 0
        for number, (data, line) in enumerate(self._lines(), start=1):
            size += len(data)
            if line.left_out is not None:
                self._left_out.add(LeftOut(line.identity.image, line.left_out))
                continue
            self._check(line, origin, number)
            self._failed[line.identity] = line.origin is None
        if size < self._file.size:
            self._file.cut(size)

    def _check(self, line: Line, origin: Origin, number: int) -> None:
        if line.origin is not None and line.origin != origin:
            found = "; ".join(line.origin.differences(origin))
            text = f"line {number} is of {found}: one file holds the answers of one model. Name another file."
            raise self._error("other_model", text)
        if (line.identity.file is not None) != self._watching:
            found, expected = ("with", "without") if line.identity.file else ("without", "with")
            text = f"found answers written {found} --watch, expected {expected}. Name another file."
            raise self._error("other_kind", text)

    def _lines(self) -> Iterator[tuple[bytes, Line]]:
        """Yield the whole lines from the file's start, as bytes and as what they say."""
        number = 0
        with self._file.reader() as file:
            while data := file.readline(_LONGEST):
                number += 1
                if not data.endswith(b"\n"):
                    self._check_torn(data, number)
                    return
                try:
                    yield data, from_line(data)
                except ValueError as error:
                    raise self._damaged(number, f"({error})") from None

    def _check_torn(self, data: bytes, number: int) -> None:
        """Refuse what is not the beginning of a line: it may be a file that was named by mistake."""
        zeros = not data.strip(b"\0")  # what some file systems leave after a power cut
        if len(data) == _LONGEST or not (zeros or data.startswith(HEAD[: len(data)])):
            raise self._damaged(number, "and not the beginning of one")

    def _damaged(self, number: int, why: str) -> ResultsError:
        text = f"line {number} is no answer of edge-predict {why}. Name another file, or mend that line."
        return self._error("damaged", text)

    def _error(self, kind: str, text: str) -> ResultsError:
        return ResultsError(f"{self.path}: {text}", code=f"results_{kind}")

    def _write_error(self, error: OSError) -> ResultsWriteError:
        return ResultsWriteError(
            f"{self.path}: could not be written ({error.strerror}); the {len(self)} answers in it are whole. "
            "Make room, then go on with the same command and --resume."
        )


def _opened(path: Path, resume: bool) -> Durable:
    try:
        return Durable(path, existing=resume)
    except FileExistsError:
        kind, text = "exists", "exists. Go on with it (--resume), or name another file."
    except InUseError:
        kind, text = "in_use", "another edge-predict writes to it. Wait for that one, or name another file."
    except OSError as error:
        kind, text = "unusable", f"found {error.strerror}, expected a file that can be written. Name another."
    raise ResultsError(f"{path}: {text}", code=f"results_{kind}")
