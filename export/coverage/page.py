"""The coverage table as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from export.coverage.row import Outcome, Row
from export.coverage.subject import Subject

_COLUMNS = (
    *(("model.float32.tflite", "litert"), ("model.float16.tflite", "litert"), ("model.int8.tflite", "litert")),
    *(("model.float32.tflite", "tflite"), ("model.float16.tflite", "tflite"), ("model.int8.tflite", "tflite")),
    *(("model.float32.onnx", "onnxruntime"), ("model.int8.onnx", "onnxruntime")),
)
_HEADINGS = (
    *("network", "TFLite float32, litert", "float16, litert", "int8, litert"),
    *("TFLite float32, tflite-runtime", "float16, tflite-runtime", "int8, tflite-runtime"),
    *("ONNX float32, onnxruntime", "int8, onnxruntime", "seconds", "of a processor", "MiB", "measured on"),
)

HEAD = """\
# Coverage

This page shows which Keras networks the exporter takes, in which formats, and on which interpreters they agree with
Keras. `python -m export coverage` measures, appends each row to `docs/reference/coverage.jsonl`, and writes this page
from it. With `--recorded` it only writes.

Each network has random weights. Its BatchNorms hold the moments of the images, and an offset so that ReLU cuts little.
Its last layer is fitted to tell dark images from bright ones. `python -m export` exports each in a process of its own,
with 40 images for calibration and 40 others for parity.

GroupNormalization of one channel each enlarges rounding. Its spec allows a float32 file a relative difference of 0.001
instead of 0.0001.

| in a cell | meaning |
|---|---|
| a number | the file is in parity: largest \\|Δ logit\\| from Keras on the parity images |
| same, differs | tflite-runtime passes the bundle's self-test on golden images, or does not |
| left out | no int8 file keeps parity and improves on float32; devices use float32 |
| does not run | the interpreter cannot run the file |
| – | not measured |
| seconds | wall time of the export with one thread; other work may have run on the computer |
| of a processor | seconds of processor time of the same, which other work changes little |
| MiB | largest resident memory of the export, all its processes together |
| measured on | line of the table at the end |
"""


def page(rows: Sequence[Row], chosen: Sequence[Subject] = ()) -> str:
    """Return the page: summary, tables by group, refusals, and networks that were not measured.

    Args:
        rows: the rows that were recorded.
        chosen: the networks of the table; those without a row are listed as not measured yet.
    """
    counted = ", ".join(f"{sum(row.outcome is kind for row in rows)} {kind.value}" for kind in Outcome)
    asked = f"{len(chosen)} networks, of which {len(rows)} have a row" if chosen else f"{len(rows)} networks"
    parts = [HEAD, f"{asked}: {counted}.\n"]
    machines = {machine: str(number) for number, machine in enumerate(dict.fromkeys(row.machine for row in rows), 1)}
    for group in dict.fromkeys(row.group for row in rows):
        exported = [row for row in rows if row.group == group and row.outcome is Outcome.EXPORTED]
        if exported:
            parts.append(f"## {group[0].upper()}{group[1:]}\n" if not group.startswith("keras") else f"## {group}\n")
            parts.append(_table(_HEADINGS, (_figures(row, machines) for row in exported)))
    for kind, title in _OTHERS.items():
        others = [row for row in rows if row.outcome is kind]
        if others:
            parts.append(f"## {title}\n")
            parts.append(_table(("network", "group", "text"), ((row.name, row.group, row.text) for row in others)))
    parts += _missing(rows, chosen)
    parts.append("## Remarks\n")
    parts.append(_table(("network", "remark"), _remarks(rows)))
    parts.append("## Measured on\n")
    parts.append(_table(("line", "rows", "which", "versions and processor"), _on(rows, machines)))
    return "\n".join(parts)


def _missing(rows: Sequence[Row], chosen: Sequence[Subject]) -> list[str]:
    """Return a section with the networks that have no row, by group; nothing if each has one."""
    known = {row.name for row in rows}
    left = [subject for subject in chosen if subject.name not in known]
    if not left:
        return []
    groups = dict.fromkeys(subject.group for subject in left)
    lines = ((group, "; ".join(each.name for each in left if each.group == group)) for group in groups)
    text = f"{len(left)} networks have no row. The same command measures them; recorded rows are kept.\n"
    return ["## Not measured yet\n", text, _table(("group", "networks"), lines)]


_OTHERS = {
    Outcome.REFUSED: "Refused",
    Outcome.FAULT: "Faults",
    Outcome.NOT_MEASURED: "Not measured",
}


_REPLAYED = {"as exported": "same", "differs from the exporting machine": "differs"}
"""Results of the self-test on tflite-runtime, and what a cell shows."""


def _on(rows: Sequence[Row], machines: dict[str, str]) -> Iterable[tuple[str, ...]]:
    """Yield number, count of rows, their groups, and description of each machine."""
    for machine, number in machines.items():
        groups = [row.group for row in rows if row.machine == machine]
        which = ", ".join(f"{group} {groups.count(group)}" for group in dict.fromkeys(groups))
        yield number, str(len(groups)), which, machine


def _figures(row: Row, machines: dict[str, str]) -> tuple[str, ...]:
    found = {(cell.file, cell.runtime): cell for cell in row.cells}
    missing = {cell.file for cell in row.cells if not cell.runtime}
    texts = []
    for file, runtime in _COLUMNS:
        cell = found.get((file, runtime))
        if file in missing:
            texts.append("left out")
        elif cell is None:
            texts.append("–")
        elif cell.remark in _REPLAYED:
            texts.append(_REPLAYED[cell.remark])
        elif cell.logit_max is None:
            texts.append("does not run")
        else:
            texts.append(f"{cell.logit_max:.1e}")
    processor = "–" if row.processor_seconds is None else f"{row.processor_seconds:.0f}"
    return (row.name, *texts, f"{row.seconds:.0f}", processor, f"{row.peak_mib:,}", machines[row.machine])


def _remarks(rows: Iterable[Row]) -> Iterable[tuple[str, str]]:
    for row in rows:
        for remark in dict.fromkeys(cell.remark for cell in row.cells if cell.remark and cell.remark not in _REPLAYED):
            yield row.name, remark


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(_plain(text) for text in line)} |\n" for line in lines)


def _plain(text: str) -> str:
    return text.strip().replace("|", r"\|").replace("\n", "<br>").replace("<", "&lt;").replace("&lt;br>", "<br>")
