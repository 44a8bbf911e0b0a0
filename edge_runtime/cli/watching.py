"""``--watch``: a folder's pictures into a results file, as they come, until a signal ends it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from edge_runtime.cli.filing import Filing, summary
from edge_runtime.cli.output import tell
from edge_runtime.cli.stopping import Stop, stops_on_signals
from edge_runtime.errors import ImageUnreadableError, UsageError
from edge_runtime.left_out import summary as summary_of_left_out
from edge_runtime.prediction import Failure
from edge_runtime.predictor import Predictor
from edge_runtime.results.file import Results
from edge_runtime.results.lines import Identity
from edge_runtime.results.watch import Watch, stamp_of


def watch_folder(predictor: Predictor, folder: Path, filing: Filing, interval_s: float) -> None:
    """Look every ``interval_s`` seconds and answer what has come to rest, until SIGINT or SIGTERM.

    Raises:
        UsageError: ``folder`` is no folder at the start; one that goes away later is waited for.
    """
    if not os.path.isdir(folder):
        raise UsageError(f"{folder}: found no folder to watch. Make it first.")
    with stops_on_signals() as stop, filing.open(predictor, watching=True) as results:
        before = len(results)
        tell(f"watching {folder}; {filing.path} holds {before} answers.")
        watch = Watch(folder)
        done = _watch(predictor, watch, results, stop, interval_s)
    tell(f"{filing.path}: {summary(done, Counter({False: before}))}")
    if watch.left_out:
        tell(summary_of_left_out(watch.left_out))


def _watch(predictor: Predictor, watch: Watch, results: Results, stop: Stop, interval_s: float) -> Counter[bool]:
    done: Counter[bool] = Counter()
    unreadable: tuple[ImageUnreadableError, ...] = ()
    while stop.by is None:
        for picture in watch.look(results):
            if stop.by is None:
                done.update(_answer(predictor, picture, results))
        results.leave_out([item for item in watch.left_out if item.reason.expects_answer])
        if {error.message for error in watch.unreadable} != {error.message for error in unreadable}:
            _tell(watch.unreadable)
        unreadable = watch.unreadable
        stop.sleep(interval_s)
    return done


def _answer(predictor: Predictor, picture: Identity, results: Results) -> list[bool]:
    """Write one answer; nothing if the file was changed while it was read: a later look takes it."""
    (answer,) = predictor.predict_all([picture.image])
    if stamp_of(picture.image) not in (picture.file, None):
        return []
    results.append(answer, picture.file)
    return [isinstance(answer, Failure)]


def _tell(errors: tuple[ImageUnreadableError, ...]) -> None:
    """Say once that folders cannot be listed, and once that all can be again."""
    for error in errors:
        tell(f"waiting [{error.code}]: {error.message}")
    if not errors:
        tell("every folder can be listed again.")
