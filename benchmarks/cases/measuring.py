"""Open contestants, let them take turns, and make the table: the same for every case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.contestant import Contestant, NoFiguresError
from benchmarks.settings import Settings
from benchmarks.turns import Skipped, Table, rows, take_turns


def opened(
    stack: ExitStack, wanted: Sequence[tuple[str, Callable[[], Contestant]]]
) -> tuple[list[Contestant], list[Skipped]]:
    """Open what can be opened; name the others with the reason. The first, the reference, has to open.

    Raises:
        NoFiguresError: the reference does not open.
    """
    found: list[Contestant] = []
    skipped: list[Skipped] = []
    for place, (name, make) in enumerate(wanted):
        try:
            contestant = make()
        except NoFiguresError as reason:
            if place == 0:
                raise
            skipped.append(Skipped(name, str(reason)))
            continue
        stack.callback(contestant.close)
        found.append(contestant)
    return found, skipped


def measured(
    case: str,
    network: str,
    contestants: Sequence[Contestant],
    skipped: Sequence[Skipped],
    settings: Settings,
    *,
    items: Sequence[int] = (0,),
    per_turn: int = 1,
    rounds: int | None = None,
    remarks: Sequence[str] = (),
) -> Table:
    """Let the contestants take turns and return the table."""
    count = settings.rounds if rounds is None else rounds
    turns = take_turns(contestants, items, count, per_turn, settings.step)
    return Table(case, network, rows(contestants, turns), tuple(skipped), count, per_turn, tuple(remarks))
