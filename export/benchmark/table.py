"""Format a benchmark report as aligned text or as a Markdown table, with the same cells."""

from __future__ import annotations

from export.benchmark.memory import IMAGES
from export.benchmark.report import BenchmarkRow, Interval, Report

HEADER = ("row", "threads", "ms an image", "CPU ms", "× as fast", "MB", "× smaller", "memory MB", "process MB")


def as_text(report: Report) -> str:
    """Return heading, aligned table and notes."""
    table = [HEADER, *(_cells(row) for row in report.rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADER))]
    lines = ["  ".join(_padded(cell, width, i) for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
             for line in table]  # fmt: skip
    return "\n".join([*heading(report), "", *(line.rstrip() for line in lines), "", *notes(report)])


def as_markdown(report: Report) -> str:
    """Return heading, Markdown table and notes."""
    rule = ("---", *("---:" for _ in HEADER[1:]))
    table = [f"| {' | '.join(line)} |" for line in (HEADER, rule, *(_cells(row) for row in report.rows))]
    return "\n".join([*(f"- {line}" for line in heading(report)), "", *table, "", *(f"- {n}" for n in notes(report))])


def _padded(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def _cells(row: BenchmarkRow) -> tuple[str, ...]:
    return (
        row.name,
        "own" if row.threads is None else str(row.threads),
        _interval(row.latency_ms),
        f"{row.cpu_ms.median:.3g}",
        "-" if row.speed is None else _interval(row.speed),
        f"{row.size_bytes / 1e6:.2f}",
        "-" if row.size_ratio is None else f"{row.size_ratio:.2f}",
        f"{row.peak_mb - row.import_mb:.1f}",
        f"{row.peak_mb:.1f}",
    )


def _interval(found: Interval) -> str:
    """Return for example ``2.31 [2.28, 2.40]``, with the decimals that give the median three digits."""
    decimals = max(0, 2 - _magnitude(found.median))
    if found.low is None or found.high is None:
        return f"{found.median:.{decimals}f}"
    return f"{found.median:.{decimals}f} [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"


def _magnitude(value: float) -> int:
    """Return the decimal exponent of ``value``; 0 for 0."""
    return int(f"{value:e}".split("e")[1]) if value else 0


def heading(report: Report) -> tuple[str, ...]:
    """Return lines on the bundle, the machine, the software and the rounds."""
    machine = report.machine
    packages = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    load = " → ".join(f"{load:.1f}" for load in machine.load)
    return (
        f"bundle    {report.bundle} {report.version}, contract {report.contract[:12]}",
        f"machine   {machine.architecture}, {machine.simd}, {machine.usable_cores} of {machine.cores} cores, "
        f"load {load} before and after",
        f"software  {packages}",
        f"taken     {report.rounds} rounds in turns, {report.images} drawn images a turn, one by one",
    )


def notes(report: Report) -> tuple[str, ...]:
    """Return notes that explain the columns."""
    found = [
        "ms an image: median over rounds of the median of a turn, tensor to logits, [95 % interval]; CPU ms: over "
        "all threads.",
        "× as fast, × smaller: than TFLite float32 with 1 thread; × as fast: of the same round, [95 % interval].",
        f"memory MB: peak of a process of its own that opens the file and runs {IMAGES} images, less the peak of "
        "one that only imports this tool and the interpreter; process MB: all of it.",
        f"Before each turn the process rested: all threads together used {report.idle_share:.1%} of a core at most.",
    ]
    found += [f"{row.file}: {row.text()}." for row in report.quantised]
    if report.keras_threads is not None:
        found.append(
            f"own: TensorFlow's own threads, {report.keras_threads} within one operation; the network ends at logits."
        )
    return tuple(found)
