"""This package of another commit and of this checkout, beside the same hand-written loop, in turns in one run.

The other commit takes part twice. How far its two rows differ is what the run cannot tell from noise.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.cases import cold_start, tiles
from benchmarks.contestant import Contestant, Worker
from benchmarks.networks import Network
from benchmarks.revisions import Revision
from benchmarks.settings import Settings
from benchmarks.task import Task
from benchmarks.turns import rows, take_turns
from edge_runtime.bundle.manifest import Format
from export.benchmark.report import Interval


class Change(enum.Enum):
    """What became of a ratio."""

    NONE = "no change seen"
    FASTER = "faster"
    SLOWER = "slower"


@dataclass(frozen=True)
class Compared:
    """One case of one network.

    Attributes:
        before, after: processor time of the other commit and of this checkout, as ratios to the loop.
        moved: processor time of this checkout divided by the other commit's of the same round.
        again: the same for the other commit's second row: 1, if nothing disturbs.
    """

    case: str
    network: str
    before: Interval
    after: Interval
    moved: Interval
    again: Interval

    @property
    def change(self) -> Change:
        """Whether the whole interval of :attr:`moved` lies beyond 1 and beyond that of :attr:`again`."""
        bounds = [self.moved.low, self.moved.high, self.again.low, self.again.high]
        if any(bound is None for bound in bounds):
            return Change.NONE
        low, high, least, most = (float(bound) for bound in bounds if bound is not None)
        if low > max(1.0, most):
            return Change.SLOWER
        return Change.FASTER if high < min(1.0, least) else Change.NONE


@dataclass(frozen=True)
class Contest:
    """One case, before anything is opened.

    Attributes:
        case, network: names.
        reference: opens the hand-written loop.
        package: opens this package as of a revision.
        items, per_turn: numbers of the items, and how many a turn takes.
    """

    case: str
    network: str
    reference: Callable[[], Contestant]
    package: Callable[[Revision], Contestant]
    items: Sequence[int] = (0,)
    per_turn: int = 1


def contests(network: Network, settings: Settings) -> list[Contest]:
    """Return the cases of a network; a slide of tiles for networks of colour alone."""
    name, tflite = network.name, network.file(Format.TFLITE)
    images = range(len(network.paths)), min(settings.items, len(network.paths))
    found = [
        Contest(
            *(f"predict({kind})", name, _loop(network.task("litert_loop", tflite, kind))),
            *(_package(network.task("edge_runtime", name, kind)), *images),
        )
        for kind in ("array", "path")
    ]
    if network.colour:
        loop, task = tiles.tasks(network, settings)
        found.append(Contest("predict_tiles", name, _loop(loop), _package(task)))
    command = Contest(
        *("cold command", name, lambda: cold_start.minimal(network)),
        lambda revision: cold_start.ours(network, revision.name, revision.root, revision.python),
    )
    return [*found, command]


def _loop(task: Task) -> Callable[[], Contestant]:
    return lambda: Worker("loop", task)


def _package(task: Task) -> Callable[[Revision], Contestant]:
    return lambda revision: Worker(revision.name, task, python=revision.python, runtime=revision.root)


def compare(contest: Contest, base: Revision, this: Revision, settings: Settings) -> Compared:
    """Let the loop, the other commit, this checkout and the other commit again take turns.

    Raises:
        NoFiguresError: the other commit does not have this network, or cannot run it here.
    """
    with ExitStack() as stack:
        contestants = [contest.reference()]
        stack.callback(contestants[0].close)
        for revision in (base, this, base):
            contestants.append(contest.package(revision))
            stack.callback(contestants[-1].close)
        turns = take_turns(contestants, contest.items, settings.rounds, contest.per_turn, settings.step)
    found = rows(contestants, turns)
    moved, again = (rows(contestants[1:], turns[1:])[place].ratio for place in (1, 2))
    return Compared(contest.case, contest.network, found[1].ratio, found[2].ratio, moved, again)
