"""``--output``: answers into a results file, and a summary on stderr."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import NoReturn

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


@dataclass(frozen=True)
class ResultsOptions:
    """What the command line says of the results file.

    Attributes:
        resume: go on with the file if it is there.
        retry_failed: answer the images again that have failed in it.
        workers: images answered at once.
    """

    path: Path
    resume: bool = False
    retry_failed: bool = False
    workers: int = 1

    def open(self, predictor: Predictor) -> Results:
        """Open the file (:class:`edge_runtime.results.file.ResultsError` if it cannot take these answers)."""
        results = Results(self.path, Origin.of(predictor), resume=self.resume, tell=tell)
        if self.retry_failed:
            results.forget_failures()
        return results

    def open_watched(self, predictor: Predictor) -> WatchedResults:
        """Open the file of a watch, as :meth:`open`."""
        results = WatchedResults(self.path, Origin.of(predictor), tell=tell)
        if self.retry_failed:
            results.forget_failures()
        return results


@dataclass(frozen=True)
class RunSummary:
    """What became of the images of this run.

    Attributes:
        of_machine: codes of the machine's faults; these images have no line and are asked again by ``--resume``.
    """

    answered: int
    failed: int
    of_machine: Counter[str]

    def __len__(self) -> int:
        """Return how many images were dealt with."""
        return self.answered + self.failed + self.of_machine.total()


def file_answers(
    predictor: Predictor, paths: Sequence[str | Failure], filing: ResultsOptions, left_out: Sequence[LeftOut] = ()
) -> None:
    """Answer every image that the results file lacks; leave with the status that fits.

    A path that is named twice is one image and has one line.
    """
    wanted = {ImageIdentity(_name(path)): path for path in paths}
    with stops_on_signals() as stop, filing.open(predictor) as results:
        there = Counter(results.failed(identity) for identity in wanted if identity in results)
        todo = [path for identity, path in wanted.items() if identity not in results]
        done = _append_all(predictor.predict_all(todo, workers=filing.workers), len(todo), results, stop)
        for item in left_out if stop.by is None else ():
            results.leave_out(item.path, item.reason.value)
    if stop.by is not None and len(done) < len(todo):
        held = done.answered + done.failed + there.total()
        _interrupted(stop.by, f"{filing.path} holds {held} of {len(wanted)} images")
    tell(f"{filing.path}: {summary(done.answered, done.failed, there)}")
    if done.of_machine:
        codes = ", ".join(f"{code} {count}" for code, count in sorted(done.of_machine.items()))
        tell(
            f"{done.of_machine.total()} not answered, for the machine failed ({codes}): they have no line, and "
            "--resume asks them again."
        )
    if left_out:
        tell(summary_of_left_out(left_out))
    if done.failed + there[True]:
        tell("Answer the failed ones again with --resume --retry-failed.")
    leave_with(done.failed + there[True] + expects_answer(left_out), done.of_machine.total())


def summary(answered: int, failed: int, there: Counter[bool]) -> str:
    """Return counts of images: of this run, and of those before by whether they failed."""
    before = f" ({there[True]} failed)" if there[True] else ""
    return f"{answered} answered, {failed} failed, {there.total()} already there{before}."


def tell_fault(failure: Failure) -> None:
    """Say on stderr that the machine failed at an image, which gets no line."""
    tell(f"not answered [{failure.error.code}]: {failure.error.message}")


def _append_all(found: Iterator[Prediction | Failure], count: int, results: Results, stop: StopSignal) -> RunSummary:
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
        if stop.by is not None:
            break
    return RunSummary(done[False], done[True], of_machine)


def _interrupted(by: Signals, holds: str) -> NoReturn:
    text = f"interrupted ({by.name}): {holds}, each line whole. Go on with the same command and --resume."
    tell(text)
    sys.exit(EXIT_SIGNAL + by)


def _name(path: str | Failure) -> str:
    return path.image if isinstance(path, Failure) else path
