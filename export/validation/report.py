"""One HTML page that proves a bundle: how each file was made, and how it compares with the Keras model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_runtime.bundle.manifest import Attempt, Labelled, Manifest
from edge_runtime.platform.atomic_files import write_whole
from training.reporting.drawing import BLUE, GREY, ORANGE, canvas, png
from training.reporting.markup import Cell, Picture, document, heading, paragraph, picture, table, title, verbatim

_NOTICE = "Decision support for trained people. Not a medical device; not for diagnosis."
_COLOURS = (GREY, BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9")


def write_report(manifest: Manifest, out: Path) -> None:
    """Write the page of a bundle to ``out``, replacing an older one."""
    page = parity_page(manifest)
    write_whole(out, lambda part: part.write_text(page, encoding="utf-8"))


def parity_page(manifest: Manifest) -> str:
    """Return the page: files, three steps of parity, guard band, ways of quantising, toolchain."""
    spec, research = manifest.spec, manifest.training is not None and manifest.training.research_only
    terms = " Research use only: the data set's terms bind this model too." if research else ""
    parts = [
        title(f"{spec.name} {spec.version}"),
        paragraph(spec.summary),
        paragraph(_NOTICE + terms, "notice"),
        heading("Files"),
        table("files", ("file", "bytes", "SHA-256"), _files(manifest)),
        heading("1. Tensor"),
        paragraph(
            f"Preprocessing contract {manifest.contract}. Fitting, calibration, parity and the device make their "
            "tensors with one function, so the difference is 0 here; edge-bundle selftest measures it on a device."
        ),
        heading("2. Score and 3. decision"),
        paragraph(f"Against the Keras model, on {manifest.parity_source}. {_band(manifest)}"),
        table("parity", _PARITY_HEAD, _parity(manifest)),
        *_labelled(manifest.labelled),
        heading("Ways of quantising, in the order tried"),
        table("attempts", ("file", "way", "bytes", "flips", "mean |Δ score|", ""), map(_attempt, manifest.attempts)),
        heading("Made with"),
        verbatim("\n".join(f"{name} {version}" for name, version in manifest.toolchain.items())),
    ]
    return document(f"{spec.name} {spec.version}: parity", "\n".join(part for part in parts if part))


_PARITY_HEAD = (
    *("file", "interpreter", "max |Δ logit|", "mean", "max |Δ score|", "mean"),
    *("flips", "per 1000", "after the band", "rerun"),
)


def _files(manifest: Manifest) -> Iterable[tuple[Cell, ...]]:
    return ((entry.name, f"{entry.size_bytes:,}", entry.sha256[:16] + "…") for entry in manifest.files)


def _parity(manifest: Manifest) -> Iterable[tuple[Cell, ...]]:
    for row in manifest.parity:
        numbers = (row.logit_max, row.logit_mean, row.score_max, row.score_mean)
        counts = (str(row.flips), f"{1000 * row.flips / row.images:.1f}", str(row.flips_guarded))
        yield row.file, row.runtime, *(f"{n:.3g}" for n in numbers), *counts, f"{row.reruns / row.images:.1%}"


def _band(manifest: Manifest) -> str:
    if not manifest.guard_band:
        return "There is no guard band: every file decides alone."
    bound = manifest.guard_band_exceptions
    text = f"A score within {manifest.guard_band:g} of a threshold is decided by the float32 file."
    if bound is None:
        return text
    return (
        f"{text} Of the pictures beyond it, int8 decides at most {bound:.2%} otherwise (95 % bound for pictures drawn "
        "independently; Wilks 1941)."
    )


def _labelled(rows: tuple[Labelled, ...]) -> list[str]:
    if not rows:
        return []
    keras = rows[0]
    changes = ([row.subject, *_change(row, keras)] for row in rows)
    return [
        heading("The same pictures by their labels"),
        paragraph(f"{keras.images} pictures of {keras.groups} groups, before the guard band; point values."),
        table("labelled", ("file", "AUROC", "Δ", "calibration error", "Δ"), changes),
        table("coverage", ("file", *(f"≥ {row.confidence:g}" for row in keras.coverage)), map(_coverage, rows)),
        picture(Picture(coverage_picture(rows), "Share of pictures answered at each confidence, file by file.")),
    ]


def _change(row: Labelled, keras: Labelled) -> list[Cell]:
    change = row.auroc_change(keras)
    area: list[Cell] = [None, None] if change is None else [f"{row.auroc:.4f}", f"{change:+.4f}"]
    return [*area, f"{row.calibration_error:.4f}", f"{row.calibration_error - keras.calibration_error:+.4f}"]


def _coverage(row: Labelled) -> list[Cell]:
    """Coverage, and the accuracy among what is answered."""
    shares = (f"{found.coverage:.3f}" for found in row.coverage)
    right = (f" ({found.accuracy:.3f} right)" if found.accuracy is not None else "" for found in row.coverage)
    return [row.subject, *(share + tail for share, tail in zip(shares, right, strict=True))]


def coverage_picture(rows: tuple[Labelled, ...]) -> bytes:
    """Draw the share answered at each confidence, a bar a file."""
    figure, (axes,) = canvas(540)
    width = 0.8 / len(rows)
    for place, row in enumerate(rows):
        at = [i + (place - (len(rows) - 1) / 2) * width for i in range(len(row.coverage))]
        axes.bar(at, [found.coverage for found in row.coverage], width, color=_COLOURS[place], label=row.subject)
    axes.set_xticks(range(len(rows[0].coverage)), [f"≥ {found.confidence:g}" for found in rows[0].coverage])
    axes.set(ylim=(0, 1), xlabel="confidence", ylabel="coverage (0..1)")
    axes.legend(frameon=False, fontsize=8)
    return png(figure)


def _attempt(attempt: Attempt) -> tuple[Cell, ...]:
    if attempt.failure:
        return attempt.file, attempt.how, None, None, None, attempt.failure
    verdict = "in the bundle" if attempt.passed else attempt.worthless or "over the tolerance"
    compared = (f"{attempt.flips} of {attempt.images}", f"{attempt.score_mean:.2g}") if attempt.images else (None, None)
    return attempt.file, attempt.how, f"{attempt.size_bytes:,}", *compared, verdict
