"""The exported files: how they answer beside the Keras model, and what they cost."""

from __future__ import annotations

from edge_runtime.bundle.manifest import KERAS, ROUNDED, Labelled, Manifest, Parity, Role
from edge_runtime.bundle.quantisation import percent, without_int8
from export.model_card.markdown import section, table

_HEAD = (
    *("file", "runtime", "max \\|Δ logit\\|", "mean", "max \\|Δ score\\|", "mean"),
    *("flips", "after guard band", "reruns"),
)


def parity(manifest: Manifest) -> str:
    """Say how far int8 and float32 files are from the Keras model."""
    images = manifest.parity[0].images if manifest.parity else 0
    return section(
        "Exported files against the Keras model",
        f"On {manifest.parity_source}. {_banded(manifest)}Counts are of {images} pictures.",
        table(_HEAD, [_row(row) for row in manifest.parity]),
        _labelled(manifest.labelled),
        level=3,
    )


def _row(row: Parity) -> tuple[str, ...]:
    differences = (f"{value:g}" for value in (row.logit_max, row.logit_mean, row.score_max, row.score_mean))
    return row.file, row.runtime, *differences, str(row.flips), str(row.flips_guarded), str(row.reruns)


def _banded(manifest: Manifest) -> str:
    if not any(entry.precision in ROUNDED for entry in manifest.files):
        return "All files are float32 and decide alone. "
    return (
        f"A score within {manifest.guard_band:g} of a threshold is decided by the float32 file; of all others int8 "
        f"decides {_bound(manifest.guard_band_exceptions)} otherwise. "
    )


def _bound(exceptions: float | None) -> str:
    if exceptions is None:
        return "an unknown share"
    return f"at most {exceptions:.2%} (95 % bound for pictures drawn independently, Wilks 1941)"


def _labelled(rows: tuple[Labelled, ...]) -> str:
    """The same pictures answered by each file: what the rounding costs, in ranking, calibration and coverage."""
    if not rows:
        return ""
    keras = next((row for row in rows if row.subject == KERAS), rows[0])
    floors = [row.confidence for row in rows[0].coverage]
    head = [part for floor in floors for part in (f"coverage at {floor:g}", "accuracy")]
    lines = [(row.subject, *_change(row, keras), *_coverage(row)) for row in rows]
    return (
        f"The same pictures, {rows[0].images} of {rows[0].groups} groups, by their labels, before the guard band; Δ is "
        "against the Keras model:\n\n" + table(("file", "AUROC", "Δ", "calibration error", "Δ", *head), lines)
    )


def _change(row: Labelled, keras: Labelled) -> tuple[str, ...]:
    change = row.auroc_change(keras)
    area = "–" if change is None else f"{change:+.4f}"
    error = row.calibration_error - keras.calibration_error
    return _number(row.auroc), area, f"{row.calibration_error:.4f}", f"{error:+.4f}"


def _coverage(row: Labelled) -> tuple[str, ...]:
    return tuple(part for found in row.coverage for part in (f"{found.coverage:.3f}", _number(found.accuracy)))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def quantised(manifest: Manifest) -> str:
    """Say how much of each file has eight bits, and which format has no int8 file and why."""
    shares = manifest.quantised or ()
    if not shares:
        return ""
    rows = [
        (row.file, percent(row.computed), f"{row.multiply_accumulates:,}", percent(row.stored), f"{row.weights:,}")
        for row in shares
    ]
    return section(
        "How much is quantised",
        "Counted in the files: multiply-accumulates of one picture whose both factors have 8 bits, and weights stored "
        "in 8 bits. The rest is float32.",
        table(("file", "in 8 bits", "of multiply-accumulates", "in 8 bits", "of weights"), rows),
        *(_left_out(manifest, name, why) for name, why in without_int8(manifest.attempts).items()),
        level=3,
    )


def _left_out(manifest: Manifest, file: str, why: str) -> str:
    tried = (f"- {attempt.text()}" for attempt in manifest.attempts if attempt.file == file)
    return "\n".join((f"**{why}.** Tried, in order:\n", *tried))


def cost(manifest: Manifest) -> str:
    """Say how large each model file is; how fast it is depends on the device, which measures it itself."""
    rows = [
        (entry.name, f"{entry.size_bytes:,}", f"{entry.size_bytes / 1e6:.2f} MB")
        for entry in manifest.of_role(Role.MODEL)
    ]
    return section(
        "Cost",
        table(("file", "bytes", "size"), rows),
        "Time and memory are the device's: `python -m export benchmark` measures them side by side.",
        level=3,
    )
