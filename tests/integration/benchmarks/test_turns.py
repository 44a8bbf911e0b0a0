"""Turns, ratios and verdicts, on contestants whose times are known."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks import machine, report
from benchmarks.cases.revisions import Change, Compared
from benchmarks.contestant import Turn
from benchmarks.revisions import needs
from benchmarks.turns import Skipped, Table, rows, take_turns
from export.benchmark.report import Interval

ONE = Interval(1.0, 1.0, 1.0)


@dataclass
class Known:
    """A contestant that takes ``seconds`` × the item's number + 1, times the machine's slowness in that round."""

    name: str
    seconds: float
    log: list[tuple[str, list[int]]]
    slowness: Sequence[float] = (1.0,)
    note: str = ""
    turns: int = field(default=0)

    def turn(self, items: Sequence[int]) -> Turn:
        self.log.append((self.name, list(items)))
        slow = self.slowness[self.turns % len(self.slowness)]
        self.turns += 1
        times = tuple(self.seconds * (item + 1) * slow for item in items)
        return Turn(tuple(2 * each for each in times), times, 10.0 + self.turns)

    def close(self) -> None:
        """Nothing to end."""


def test_each_round_every_contestant_gets_the_same_next_items_and_none_is_always_first() -> None:
    log: list[tuple[str, list[int]]] = []
    take_turns([Known(name, 1.0, log) for name in "abc"], [4, 5, 6], 4, 2, lambda: None)
    rounds = [log[i : i + 3] for i in range(0, len(log), 3)]
    assert [sorted({tuple(items) for _, items in each}) for each in rounds] == [[(4, 5)], [(6, 4)], [(5, 6)], [(4, 5)]]
    assert all(sorted(name for name, _ in each) == ["a", "b", "c"] for each in rounds)
    assert len({each[0][0] for each in rounds}) > 1


def test_a_ratio_is_of_the_same_items_of_the_same_round_whatever_the_machine_did() -> None:
    """Rounds up to ten times as slow, and items of other sizes: the ratio of medians would be far off."""
    slowness = (1.0, 10.0, 3.0, 1.5, 7.0, 2.0)
    contestants = [Known("loop", 1.0, [], slowness), Known("ours", 1.5, [], slowness)]
    turns = take_turns(contestants, range(7), 6, 3, lambda: None)
    found = rows(contestants, turns)
    assert found[0].ratio == found[0].wall_ratio == ONE
    assert found[1].ratio == found[1].wall_ratio == Interval(1.5, 1.5, 1.5)
    assert found[1].wall_ms.median == 2 * found[1].processor_ms.median
    assert (found[1].peak_mb, len(found[1].values_s)) == (16.0, 6)


@pytest.mark.parametrize(
    ("moved", "again", "change"),
    [
        ((1.2, 1.1, 1.3), (1.0, 0.98, 1.02), Change.SLOWER),
        ((0.8, 0.7, 0.9), (1.0, 0.98, 1.02), Change.FASTER),
        ((1.1, 0.99, 1.3), (1.0, 0.98, 1.02), Change.NONE),
        ((1.2, 1.1, 1.3), (1.1, 0.98, 1.15), Change.NONE),  # the other commit differs as much from itself
        ((0.8, 0.7, 0.9), (0.9, 0.85, 1.02), Change.NONE),
        ((1.2, None, None), (1.0, None, None), Change.NONE),
    ],
)
def test_a_case_moved_if_its_interval_lies_beyond_1_and_beyond_noise(
    moved: tuple[float, float, float], again: tuple[float, float, float], change: Change
) -> None:
    assert Compared("case", "network", ONE, ONE, Interval(*moved), Interval(*again)).change is change


def test_only_the_needs_of_the_wheel_are_compared(tmp_path: Path) -> None:
    text = '[project]\ndependencies = [\n  "numpy",\n]\n[project.optional-dependencies]\ndev = [\n  "pytest",\n]\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert needs(tmp_path) == '\n  "numpy",'


def test_a_table_is_written_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    begin, end = (mark.format("the tables") for mark in report.MARKS)
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{begin}\nold\n{end}\n\nafter\n", encoding="utf-8")
    for _ in range(2):
        report.write_between(page, "the tables", "new")
        assert page.read_text(encoding="utf-8") == f"# Title\n\n{begin}\n\nnew\n\n{end}\n\nafter\n"
    with pytest.raises(SystemExit, match="found no place for the table"):
        report.write_between(page, "the headline", "new")


def test_markdown_says_ratio_interval_remarks_and_what_was_not_measured() -> None:
    contestants = [Known("loop", 0.001, []), Known("ours", 0.0025, [], note="with a check")]
    turns = take_turns(contestants, [0], 6, 1, lambda: None)
    skipped = (Skipped("peer", "not installed"),)
    table = Table("predict(array)", "model", rows(contestants, turns), skipped, 6, 1, ("3 drawn images",))
    text = report.markdown([table], ["a machine"])
    assert text.splitlines() == [
        *("- a machine", "", "#### `predict(array)`, `model`", ""),
        "| | processor time, ratio | ms | wall time, ratio | ms | peak MB |",
        "|---|---|---|---|---|---|",
        "| loop | 1 | 1 | 1 | 2 | 16 |",
        "| ours | 2.50 [2.50, 2.50] | 2.5 | 2.50 [2.50, 2.50] | 5 | 16 |",
        *("", "- 3 drawn images.", "- ours: with a check.", "- not measured: peer: not installed."),
        "- 6 rounds in turns, one a turn.",
    ]


def test_the_machine_is_described_without_its_name() -> None:
    said = "\n".join(machine.lines(0.5))
    assert "int8 dot products" in said and "load of the last minute: 0.5 before" in said
    assert socket.gethostname() not in said
