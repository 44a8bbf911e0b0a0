"""Write an HTML page about a bundle: its quantisation attempts and the parity of each file with the Keras model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.manifest import Attempt, Labelled, Manifest, Parity
from edge_runtime.platform.atomic_files import write_whole
from training.reporting.drawing import BLUE, GREY, ORANGE, canvas, png
from training.reporting.rendering import CaptionedImage, Cell, Table, render

_TEMPLATE = Path(__file__).parents[1] / "templates" / "proof.html.j2"
_COLOURS = (GREY, BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9")
_PARITY_HEAD = (
    *("file", "interpreter", "max |Δ logit|", "mean", "max |Δ score|", "mean"),
    *("flips", "per 1000", "after the guard band", "rerun"),
)


@dataclass(frozen=True)
class ProofPage:
    """Content of ``templates/proof.html.j2``."""

    manifest: Manifest

    @property
    def research_only(self) -> bool:
        """Whether the terms of the training data restrict the model to research."""
        return self.manifest.training is not None and self.manifest.training.research_only

    @property
    def files(self) -> Table:
        """Name, size and start of the SHA-256 of each file."""
        rows = ((entry.name, f"{entry.size_bytes:,}", entry.sha256[:16] + "…") for entry in self.manifest.files)
        return Table(("file", "bytes", "SHA-256"), tuple(rows))

    @property
    def parity(self) -> Table:
        """Parity of each file with the Keras model."""
        return Table(_PARITY_HEAD, tuple(map(_parity, self.manifest.parity)))

    @property
    def labelled(self) -> Table:
        """Ranking and calibration of each file, and their change from the Keras model, which is in the first row."""
        rows = self.manifest.labelled
        head = ("file", "AUROC", "Δ", "calibration error", "Δ")
        return Table(head, tuple((row.subject, *_change(row, rows[0])) for row in rows))

    @property
    def coverage(self) -> Table:
        """Coverage of each file at each confidence floor, and the accuracy of the answered images."""
        rows = self.manifest.labelled
        floors = (f"≥ {found.confidence:g}" for row in rows[:1] for found in row.coverage)
        return Table(("file", *floors), tuple(map(_coverage, rows)))

    @property
    def coverage_image(self) -> CaptionedImage:
        """Bar chart of the coverage table."""
        drawn = coverage_image(self.manifest.labelled)
        return CaptionedImage(drawn, "Share of images answered at each confidence floor, for each file.")

    @property
    def attempts(self) -> Table:
        """Quantisation schemes, in the order tried."""
        head = ("file", "scheme", "bytes", "flips", "mean |Δ score|", "result")
        return Table(head, tuple(map(_attempt, self.manifest.attempts)))


def write_report(manifest: Manifest, out: Path) -> None:
    """Write the page of a bundle to ``out``, replacing an older one."""
    page = parity_page(manifest)
    write_whole(out, page.encode("utf-8"))


def parity_page(manifest: Manifest) -> str:
    """Return the page as HTML: files, three steps of parity, guard band, quantisation schemes, toolchain."""
    return render(_TEMPLATE, ProofPage(manifest))


def _parity(row: Parity) -> tuple[Cell, ...]:
    numbers = (f"{value:.3g}" for value in (row.logit_max, row.logit_mean, row.score_max, row.score_mean))
    counts = (str(row.flips), f"{1000 * row.flips / row.images:.1f}", str(row.flips_guarded))
    return row.file, row.runtime, *numbers, *counts, f"{row.reruns / row.images:.1%}"


def _change(row: Labelled, keras: Labelled) -> tuple[Cell, ...]:
    change = row.auroc_change(keras)
    area = (None, None) if change is None else (f"{row.auroc:.4f}", f"{change:+.4f}")
    return *area, f"{row.calibration_error:.4f}", f"{row.calibration_error - keras.calibration_error:+.4f}"


def _coverage(row: Labelled) -> tuple[Cell, ...]:
    shares = (f"{found.coverage:.3f}" for found in row.coverage)
    right = (f" ({found.accuracy:.3f} correct)" if found.accuracy is not None else "" for found in row.coverage)
    return row.subject, *(share + tail for share, tail in zip(shares, right, strict=True))


def _attempt(attempt: Attempt) -> tuple[Cell, ...]:
    if attempt.failure:
        return attempt.file, attempt.how, None, None, None, attempt.failure
    verdict = "in the bundle" if attempt.passed else attempt.worthless or "over the tolerance"
    compared = (f"{attempt.flips} of {attempt.images}", f"{attempt.score_mean:.2g}") if attempt.images else (None, None)
    return attempt.file, attempt.how, f"{attempt.size_bytes:,}", *compared, verdict


def coverage_image(rows: tuple[Labelled, ...]) -> bytes:
    """Return a PNG bar chart of the coverage at each confidence floor, one bar per file."""
    figure, (axes,) = canvas(540)
    width = 0.8 / len(rows)
    for place, row in enumerate(rows):
        at = [i + (place - (len(rows) - 1) / 2) * width for i in range(len(row.coverage))]
        axes.bar(at, [found.coverage for found in row.coverage], width, color=_COLOURS[place], label=row.subject)
    axes.set_xticks(range(len(rows[0].coverage)), [f"≥ {found.confidence:g}" for found in rows[0].coverage])
    axes.set(ylim=(0, 1), xlabel="confidence", ylabel="coverage (0..1)")
    axes.legend(frameon=False, fontsize=8)
    return png(figure)
