"""``--output``: answers into a results file, and a summary on stderr."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import NoReturn

from edge_runtime.cli.faults import EXIT_SIGNAL, EXIT_SOME_FAILED
from edge_runtime.cli.output import tell
from edge_runtime.cli.pictures import answers, progress
from edge_runtime.cli.stopping import Stop, stops_on_signals
from edge_runtime.left_out import LeftOut, expects_answer
from edge_runtime.left_out import summary as summary_of_left_out
from edge_runtime.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor
from edge_runtime.results.file import Results
from edge_runtime.results.lines import Identity


@dataclass(frozen=True)
class Filing:
    """What the command line says of the results file.

    Attributes:
        resume: go on with the file if it is there.
        retry_failed: answer the pictures again that have failed in it.
        workers: pictures answered at once.
    """

    path: Path
    resume: bool = False
    retry_failed: bool = False
    workers: int = 1

    def open(self, predictor: Predictor, *, watching: bool = False) -> Results:
        """Open the file (:class:`edge_runtime.results.file.ResultsError` if it cannot take these answers)."""
        results = Results(self.path, predictor.spec, resume=self.resume or watching, watching=watching)
        if self.retry_failed:
            results.forget_failures()
        return results


def file_answers(
    predictor: Predictor, paths: Sequence[str | Failure], filing: Filing, left_out: Sequence[LeftOut] = ()
) -> None:
    """Answer every picture that the results file lacks; leave with the status that fits.

    A path that is named twice is one picture and has one line.
    """
    wanted = {Identity(_name(path)): path for path in paths}
    with stops_on_signals() as stop, filing.open(predictor) as results:
        there = Counter(results.failed(identity) for identity in wanted if identity in results)
        todo = [path for identity, path in wanted.items() if identity not in results]
        done = _append_all(answers(predictor, todo, filing.workers), len(todo), results, stop)
        if stop.by is None:
            results.leave_out(left_out)
    if stop.by is not None and done.total() < len(todo):
        _interrupted(stop.by, f"{filing.path} holds {done.total() + there.total()} of {len(wanted)} pictures")
    tell(f"{filing.path}: {summary(done, there)}")
    if left_out:
        tell(summary_of_left_out(left_out))
    if done[True] + there[True]:
        tell("Answer the failed ones again with --resume --retry-failed.")
    if done[True] + there[True] or expects_answer(left_out):
        sys.exit(EXIT_SOME_FAILED)


def summary(done: Counter[bool], there: Counter[bool]) -> str:
    """Return counts of pictures, by whether they failed: of this run, and of those before."""
    before = f" ({there[True]} failed)" if there[True] else ""
    return f"{done[False]} answered, {done[True]} failed, {there.total()} already there{before}."


def _append_all(found: Iterator[Prediction | Failure], count: int, results: Results, stop: Stop) -> Counter[bool]:
    done: Counter[bool] = Counter()
    for answer in progress(found, count):
        results.append(answer)
        done[isinstance(answer, Failure)] += 1
        if stop.by is not None:
            break
    return done


def _interrupted(by: Signals, holds: str) -> NoReturn:
    text = f"interrupted ({by.name}): {holds}, each line whole. Go on with the same command and --resume."
    tell(text)
    sys.exit(EXIT_SIGNAL + by)


def _name(path: str | Failure) -> str:
    return path.image if isinstance(path, Failure) else path
