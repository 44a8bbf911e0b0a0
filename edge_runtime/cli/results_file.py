"""The option ``--output``: write results into a file, and a summary to stderr."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, NoReturn

from edge_runtime.assurance.audit.recorder import NO_RECORDER, Recorder
from edge_runtime.cli.exit_codes import EXIT_SIGNAL, leave_with
from edge_runtime.cli.output import progress, tell
from edge_runtime.cli.signals import StopSignal, stops_on_signals
from edge_runtime.images.left_out import LeftOut, expects_answer
from edge_runtime.images.left_out import summary as summary_of_left_out
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor
from edge_runtime.results.file import Results
from edge_runtime.results.lines import ImageIdentity, Origin
from edge_runtime.results.watched_file import WatchedResults

if TYPE_CHECKING:
    from edge_runtime.dicom.study import StudyItem


@dataclass(frozen=True)
class ResultsOptions:
    """The results file options of the command line.

    Attributes:
        resume: continue an existing file.
        retry_failed: process the images again that failed in it.
        workers: number of images processed in parallel.
    """

    path: Path
    resume: bool = False
    retry_failed: bool = False
    workers: int = 1

    def open(self, predictor: Predictor) -> Results:
        """Open the file; raise :class:`edge_runtime.errors.ResultsError` if it cannot take these results."""
        results = Results(self.path, Origin.of(predictor), resume=self.resume, tell=tell)
        if self.retry_failed:
            results.forget_failures()
        return results

    def open_watched(self, predictor: Predictor) -> WatchedResults:
        """Open the file for ``--watch``, with the errors of :meth:`open`."""
        results = WatchedResults(self.path, Origin.of(predictor), tell=tell)
        if self.retry_failed:
            results.forget_failures()
        return results


@dataclass(frozen=True)
class RunSummary:
    """Counts of the images of this run.

    Attributes:
        of_machine: images that the machine failed at, by error code. They have no line; ``--resume`` tries them again.
    """

    answered: int
    failed: int
    of_machine: Counter[str]

    def __len__(self) -> int:
        """Return the number of processed images."""
        return self.answered + self.failed + self.of_machine.total()


def file_answers(
    predictor: Predictor,
    paths: Sequence[str | StudyItem | Failure],
    filing: ResultsOptions,
    left_out: Sequence[LeftOut] = (),
    recorder: Recorder = NO_RECORDER,
) -> None:
    """Classify every image that the results file lacks, then exit with the matching status.

    A path that is named twice is one image and has one line.
    """
    images = {ImageIdentity(_name(path)): path for path in paths}
    with stops_on_signals() as stop, filing.open(predictor) as results:
        there = Counter(results.failed(identity) for identity in images if identity in results)
        todo = [path for identity, path in images.items() if identity not in results]
        done = _append_all(
            predictor.predict_all(todo, workers=filing.workers, processes=True), len(todo), results, stop, recorder
        )
        for item in left_out if stop.by is None else ():
            results.leave_out(item.path, item.reason.value)
    if stop.by is not None and len(done) < len(todo):
        held = done.answered + done.failed + there.total()
        _interrupted(stop.by, f"{filing.path} holds {held} of {len(images)} images")
    tell(f"{filing.path}: {summary(done.answered, done.failed, there)}")
    if done.of_machine:
        codes = ", ".join(f"{code} {count}" for code, count in sorted(done.of_machine.items()))
        tell(
            f"{done.of_machine.total()} not answered because the machine failed ({codes}). They have no line; "
            "--resume tries them again."
        )
    if left_out:
        tell(summary_of_left_out(left_out))
    if done.failed + there[True]:
        tell("Use --resume --retry-failed to process the failed images again.")
    leave_with(done.failed + there[True] + expects_answer(left_out), done.of_machine.total())


def summary(answered: int, failed: int, there: Counter[bool]) -> str:
    """Return a line with the counts of this run and of earlier runs.

    Args:
        there: images of earlier runs, by whether they failed.
    """
    before = f" ({there[True]} failed)" if there[True] else ""
    return f"{answered} answered, {failed} failed, {there.total()} already there{before}."


def tell_fault(failure: Failure) -> None:
    """Report on stderr that the machine failed at an image. It gets no line in the file."""
    tell(f"not answered [{failure.error.code}]: {failure.error.message}")


def _append_all(
    found: Iterator[Prediction | Failure], count: int, results: Results, stop: StopSignal, recorder: Recorder
) -> RunSummary:
    done: Counter[bool] = Counter()
    of_machine: Counter[str] = Counter()
    for answer in progress(found, count):
        if isinstance(answer, Failure) and answer.of_machine:
            if answer.error.code not in of_machine:
                tell_fault(answer)
            of_machine[answer.error.code] += 1
        else:
            results.append(answer)
            done[isinstance(answer, Failure)] += 1
        recorder.answer(answer, results.origin.bundle)
        recorder.tick()
        if stop.by is not None:
            break
    return RunSummary(done[False], done[True], of_machine)


def _interrupted(by: Signals, holds: str) -> NoReturn:
    tell(f"interrupted ({by.name}): {holds}, each line whole. Continue with the same command and --resume.")
    sys.exit(EXIT_SIGNAL + by)


def _name(path: str | StudyItem | Failure) -> str:
    return path if isinstance(path, str) else path.image if isinstance(path, Failure) else path.name
