"""Tables as text and Markdown, in full or between the markers of a documentation page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.turns import Row, Table
from export.benchmark.report import Interval

HEADLINE = ("predict(array)", "predict(path)", "cold command")
"""The cases of the table of all networks, in which the second row is this package."""

_HEAD = ("", "processor time", "ms", "wall time", "ms", "peak MB")
MARKS = "<!-- {}: written by python -m benchmarks table --write -->", "<!-- end of {} -->"


def headline(tables: Sequence[Table]) -> str:
    """Return one Markdown row for each network: the ratio of processor times of this package to the reference."""
    found = {(table.network, table.case): table for table in tables}
    networks = list(dict.fromkeys(table.network for table in tables if table.network))
    lines = [f"| model | {' | '.join(f'`{c}`' if '(' in c else c for c in HEADLINE)} |", "|" + "---|" * 4]
    for network in networks:
        cells = [_ours(found.get((network, case))) for case in HEADLINE]
        lines.append(f"| `{network}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ours(table: Table | None) -> str:
    if table is None:
        return "–"
    row = next(row for row in table.rows if row.name.startswith("edge-predict"))
    return ratio_text(row.ratio)


def markdown(tables: Sequence[Table], machine: Sequence[str]) -> str:
    """Return every table under a heading of its own, with its remarks and what was skipped."""
    parts = ["\n".join(f"- {line}" for line in machine)]
    for table in tables:
        network = f", `{table.network}`" if table.network else ""
        case = f"`{table.case}`" if table.case.endswith(")") else table.case
        parts.append(f"#### {case[0].upper()}{case[1:]}{network}")
        parts.append("\n".join(_lines(table)))
        said = [*table.remarks, *(f"{row.name}: {row.note}" for row in table.rows if row.note)]
        said += [f"not measured: {each.name}: {each.reason}" for each in table.skipped]
        said.append(f"{table.rounds} rounds in turns, {_count(table)} a turn")
        parts.append("\n".join(f"- {line}." for line in said))
    return "\n\n".join(parts)


def _count(table: Table) -> str:
    return "one" if table.items == 1 else f"{table.items} images"


def _lines(table: Table) -> list[str]:
    head = "| | processor time, ratio | ms | wall time, ratio | ms | peak MB |"
    return [head, "|---|---|---|---|---|---|", *(_cells(row, place == 0) for place, row in enumerate(table.rows))]


def _cells(row: Row, reference: bool) -> str:
    ratios = ("1", "1") if reference else (ratio_text(row.ratio), ratio_text(row.wall_ratio))
    times = _time(row.processor_ms.median), _time(row.wall_ms.median)
    return f"| {row.name} | {ratios[0]} | {times[0]} | {ratios[1]} | {times[1]} | {row.peak_mb:.0f} |"


def ratio_text(found: Interval) -> str:
    """Return a ratio with its interval, if it has one."""
    if found.low is None or found.high is None:
        return f"{found.median:.2f}"
    return f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def write_between(page: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of ``name`` in a page.

    Raises:
        SystemExit: the page has no such markers.
    """
    begin, end = (mark.format(name) for mark in MARKS)
    whole = page.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise SystemExit(
            f"{page}: found no place for the table. Write these two lines where it belongs:\n{begin}\n{end}"
        )
    before, _, rest = whole.partition(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")
