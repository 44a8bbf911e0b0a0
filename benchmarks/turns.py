"""Contestants take turns: one turn each in every round, in an order that is rotated, and reversed in odd rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contestant import Contestant, Turn
from export.benchmark.report import Interval, median_interval
from export.benchmark.timing import order


@dataclass(frozen=True)
class Row:
    """One contestant's figures: medians over rounds with their 95 % intervals.

    Attributes:
        processor_ms: milliseconds of processor time of an item, over all threads of its process.
        wall_ms: milliseconds of wall time of an item.
        ratio: processor time divided by the reference's for the same items of the same round.
        wall_ratio: the same for wall time.
        peak_mb: peak resident memory of the process, MB of 10^6 bytes.
        values_s: processor seconds of an item, one value for each round.
        note: what the reader has to know about the row, or the empty string.
    """

    name: str
    processor_ms: Interval
    wall_ms: Interval
    ratio: Interval
    wall_ratio: Interval
    peak_mb: float
    values_s: tuple[float, ...]
    note: str = ""


@dataclass(frozen=True)
class Skipped:
    """A row without figures, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Table:
    """What one case gave.

    Attributes:
        case: name of the case, for example ``predict(array)``.
        network: name of the bundle; the empty string for a case without one.
        rows: the first is the reference of the ratios.
        skipped: contestants that could not run.
        rounds, items: how many rounds, and how many items in each turn.
        remarks: what the reader has to know about the items.
    """

    case: str
    network: str
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    rounds: int
    items: int
    remarks: tuple[str, ...] = ()


def take_turns(
    contestants: Sequence[Contestant], items: Sequence[int], rounds: int, per_turn: int, step: Callable[[], object]
) -> list[list[Turn]]:
    """Return each contestant's turns, one a round.

    Args:
        contestants: the first is the reference.
        items: numbers of the items; each round takes the next ``per_turn`` of them, over and over.
        rounds: number of rounds.
        per_turn: items of a turn.
        step: called after every turn.
    """
    turns: list[list[Turn]] = [[] for _ in contestants]
    for number in range(rounds):
        chosen = [items[(number * per_turn + i) % len(items)] for i in range(per_turn)]
        for i in order(len(contestants), number):
            turns[i].append(contestants[i].turn(chosen))
            step()
    return turns


def rows(contestants: Sequence[Contestant], turns: Sequence[Sequence[Turn]]) -> tuple[Row, ...]:
    """Return the rows of a table; the first contestant is the reference.

    The ratio of a round is the median over its items, so that an item during which another program had the core does
    not count.
    """
    return tuple(_row(each, own, turns[0]) for each, own in zip(contestants, turns, strict=True))


def _row(contestant: Contestant, own: Sequence[Turn], base: Sequence[Turn]) -> Row:
    pairs = list(zip(own, base, strict=True))
    values = tuple(median(turn.processor_s) for turn in own)
    return Row(
        name=contestant.name,
        processor_ms=median_interval([value * 1e3 for value in values]),
        wall_ms=median_interval([median(turn.wall_s) * 1e3 for turn in own]),
        ratio=median_interval([_ratio(a.processor_s, b.processor_s) for a, b in pairs]),
        wall_ratio=median_interval([_ratio(a.wall_s, b.wall_s) for a, b in pairs]),
        peak_mb=own[-1].peak_mb,
        values_s=values,
        note=contestant.note,
    )


def _ratio(own: Sequence[float], base: Sequence[float]) -> float:
    return median(a / b for a, b in zip(own, base, strict=True))
