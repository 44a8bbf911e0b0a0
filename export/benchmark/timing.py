"""Measure times in turns: every row has one turn per round, while all other threads of this process are idle.

The order of the rows is rotated, and reversed in every second round, so that no row always follows the same row. Before
each turn the process waits until all its threads are idle. TensorFlow's and XNNPACK's threads spin for a while after
their work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from export.benchmark.subject import Floats, Run
from export.errors import ExportError

PAUSE_S = 0.005
REST = 0.1
"""Largest share of one core that an idle process may use in a pause; waking up uses processor time."""
PATIENCE_S = 2.0


@dataclass(frozen=True)
class Turn:
    """Medians over the images of one row's turn, and the processor time of the pause before it (share of a core)."""

    wall_ms: float
    cpu_ms: float
    idle_share: float


def take_turns(runs: Sequence[Run], tensors: Floats, rounds: int, step: Callable[[], object]) -> list[list[Turn]]:
    """Return the turns of each row, one per round; call ``step`` after each turn."""
    for run in runs:
        _ = [run(tensor[np.newaxis]) for tensor in tensors]  # warm-up: the first images trace, allocate and unpack
    turns: list[list[Turn]] = [[] for _ in runs]
    for number in range(rounds):
        for i in order(len(runs), number):
            turns[i].append(_turn(runs[i], tensors))
            step()
    return turns


def order(rows: int, number: int) -> tuple[int, ...]:
    """Return the order of rows in a round: rotated by one every second round, reversed in odd rounds."""
    first = number // 2
    turned = tuple((first + i) % rows for i in range(rows))
    return turned[::-1] if number % 2 else turned


def _turn(run: Run, tensors: Floats) -> Turn:
    idle = settle()
    run(tensors[0][np.newaxis])  # loads the weights into the caches; not timed
    walls, cpus = [], []
    for tensor in tensors:
        wall, cpu = time.perf_counter(), time.process_time()
        run(tensor[np.newaxis])
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    return Turn(median(walls), median(cpus), idle)


def settle() -> float:
    """Wait until all threads of this process are idle; return the share of one core used in the last pause.

    Raises:
        ExportError: the threads do not become idle within :data:`PATIENCE_S`.
    """
    until = time.monotonic() + PATIENCE_S
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(PAUSE_S)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        if share <= REST:
            return share
        if time.monotonic() > until:
            raise ExportError(
                f"Threads of this process still use {share:.0%} of a core {PATIENCE_S:g} s after their work, expected "
                f"{REST:.0%} at most; they would slow the next row. Omit the Keras model, or stop other programs."
            )
