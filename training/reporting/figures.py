"""Draws the metrics of an outcome; each function returns a PNG of 900 px width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from training.errors import DatasetError
from training.metrics.binary import auroc
from training.metrics.classwise import ClassOutcomes, side_names
from training.metrics.confidence import expected_calibration_error, reliability
from training.metrics.evaluation import CONFIDENCES
from training.reporting.drawing import BLUE, GREY, GRID, ORANGE, Bools, Floats, band, canvas, png, unit_square

_FEW_LABELS = 4
_LEAST = 20
"""Smallest number of images for which a share is drawn; shares of fewer images are noise."""


def confusion_image(table: Sequence[Sequence[int]], labels: Sequence[str]) -> bytes:
    """Draw the confusion matrix with row percentages; rows are the truth, columns the label with the highest score."""
    counts = np.asarray(table, dtype=np.int64)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(labels) <= _FEW_LABELS
    figure, (axes,) = canvas(min(840, 240 + 130 * len(labels)))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.55 else "black"
        text = f"{count}\n{share[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=12 if few else 8)
    size, turn, side = (10, 0, "center") if few else (8, 30, "right")
    axes.set_xticks(range(len(labels)), labels, fontsize=size, rotation=turn, ha=side)
    axes.set_yticks(range(len(labels)), labels, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="label with the highest score", ylabel="truth (images, % of row)")
    return png(figure)


def roc_image(outcome: ClassOutcomes) -> bytes:
    """Draw sensitivity against 1 − specificity, with the cut-off in use and the area under the curve."""
    truth, score, called = _both(outcome), outcome.positive, outcome.called
    figure, (axes,) = canvas(720)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance")
    band(axes, _roc_on_grid, truth, score, outcome.groups)
    false_alarms, sensitivity, _ = roc_curve(truth, score)
    axes.plot(false_alarms, sensitivity, color=BLUE, label=f"area under the curve {auroc(truth, score):.3f}")
    _mark(axes, float(called[~truth].mean()), float(called[truth].mean()), outcome.spec.policy.cutoff)
    axes.legend(loc="lower right", frameon=False)
    unit_square(axes, "1 − specificity (0..1)", "sensitivity (0..1)")
    return png(figure)


def precision_recall_image(outcome: ClassOutcomes) -> bytes:
    """Draw precision against recall, with the cut-off in use and the share of positives as chance."""
    truth, score, called = _both(outcome), outcome.positive, outcome.called
    figure, (axes,) = canvas(720)
    axes.axhline(truth.mean(), color=GREY, linewidth=1, linestyle=":", label=f"chance: {truth.mean():.1%} positive")
    band(axes, _precision_on_grid, truth, score, outcome.groups)
    precision, recall, _ = precision_recall_curve(truth, score)
    axes.step(recall[:-1], precision[:-1], where="post", color=BLUE, label="network")
    if called.any():
        _mark(axes, float(called[truth].mean()), float(truth[called].mean()), outcome.spec.policy.cutoff)
    axes.legend(loc="lower left", frameon=False)
    unit_square(axes, "recall (0..1)", "precision (0..1)")
    return png(figure)


def reliability_image(outcome: ClassOutcomes, bins: int = 15) -> bytes:
    """Draw accuracy against confidence in bins of equal count, above the histogram of confidences."""
    confidence, correct = outcome.confidence, outcome.predicted == outcome.labels
    rows = reliability(confidence, correct, bins)
    error = expected_calibration_error(confidence, correct, bins)
    figure, (axes, below) = canvas(840, (2.2, 1))
    left = min(0.5, rows[0].low)
    axes.plot([left, 1], [left, 1], color=GREY, linewidth=1, linestyle=":", label="perfect calibration")
    label = f"calibration error {error:.3f} ({len(rows)} bins of equal count)"
    axes.plot([r.confidence for r in rows], [r.accuracy for r in rows], "o-", color=BLUE, markersize=5, label=label)
    axes.legend(loc="upper left", frameon=False)
    axes.set(ylabel="accuracy (0..1)", ylim=(min(left, *(r.accuracy for r in rows)) - 0.03, 1.03))
    below.hist(confidence, bins=list(np.linspace(left, 1, 41)), color=BLUE)
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    below.set(xlabel="confidence: score of the highest label (0..1)", ylabel="images")
    return png(figure)


def coverage_image(outcome: ClassOutcomes) -> bytes:
    """Draw the accuracy of the decision against the share answered, with marks at the published confidences."""
    order = np.argsort(-outcome.confidence, kind="stable")
    right, falling = outcome.called == outcome.truth, outcome.confidence[order]
    last = np.flatnonzero(np.append(np.diff(falling) < 0, True))  # images of equal confidence are answered together
    last = last[last >= min(_LEAST, len(right)) - 1]
    accuracy = (np.cumsum(right[order]) / np.arange(1, len(right) + 1))[last]
    figure, (axes,) = canvas(600)
    axes.plot((last + 1) / len(right), accuracy, color=BLUE)
    taken = -1.0
    for floor in sorted(CONFIDENCES, reverse=True):
        kept = outcome.confidence >= floor
        if kept.sum() < _LEAST:
            continue
        at = float(kept.mean()), float(right[kept].mean())
        above = (
            at[0] - taken > 0.12 and at[0] < 0.88
        )  # the curve falls, so there is space at its upper right and lower left
        offset, side = ((6, 8), "left") if above else ((-6, -15), "right")
        axes.plot(*at, "o", color=ORANGE)
        axes.annotate(f"≥ {floor:g}", at, xytext=offset, ha=side, textcoords="offset points")
        taken = at[0]
    axes.set(xlim=(0, 1.02), ylim=(max(0.0, float(accuracy.min()) - 0.06), 1.03))
    axes.set(xlabel="coverage: share of images answered (0..1)", ylabel="accuracy among answered (0..1)")
    return png(figure)


def score_image(outcome: ClassOutcomes) -> bytes:
    """Draw a histogram of the positive score for each side on a common axis, with the cut-off."""
    cutoff, edges = outcome.spec.policy.cutoff, list(np.linspace(0, 1, 41))
    figure, panels = canvas(600, (1, 1))
    sides = zip(panels, side_names(outcome.spec), (~outcome.truth, outcome.truth), (BLUE, ORANGE), strict=True)
    for axes, name, rows, colour in sides:
        axes.hist(outcome.positive[rows], bins=edges, color=colour)
        axes.axvline(cutoff, color="black", linewidth=1.2, linestyle="--")
        axes.set_title(f"truth: {name} ({rows.sum()} images)", fontsize=10, loc="left")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set(ylabel="pictures", xlim=(0, 1))
    panels[1].set_xlabel(f"positive score (0..1); dashed: cut-off {cutoff:g}")
    return png(figure)


def history_image(history: Mapping[str, Sequence[float]]) -> bytes:
    """Draw loss and accuracy by epoch, from the columns of Keras: loss, val_loss, accuracy, val_accuracy."""
    figure, panels = canvas(760, (1, 1))
    best = int(np.argmin(history["val_loss"])) + 1
    for axes, name, unit in zip(panels, ("loss", "accuracy"), ("loss (nats)", "accuracy (0..1)"), strict=True):
        for column, label, colour in ((name, "training", BLUE), (f"val_{name}", "validation", ORANGE)):
            values = history[column]
            axes.plot(range(1, len(values) + 1), values, ".-", color=colour, label=label)
        axes.axvline(best, color=GREY, linewidth=1, linestyle=":")
        axes.set_ylabel(unit)
    panels[0].legend(frameon=False)
    panels[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[1].set_xlabel(f"epoch (dotted: lowest validation loss, epoch {best})")
    return png(figure)


def _both(outcome: ClassOutcomes) -> Bools:
    truth = outcome.truth
    if truth.all() or not truth.any():
        raise DatasetError(
            f"curve: found {int(truth.sum())} positive of {len(truth)} images, expected both classes. "
            "Measure data with positive and negative images."
        )
    return truth


def _mark(axes: Axes, x: float, y: float, cutoff: float) -> None:
    axes.plot([x], [y], "o", color=ORANGE, label=f"cut-off {cutoff:g}")


def _roc_on_grid(truth: Bools, score: Floats) -> Floats:
    false_alarms, sensitivity, _ = roc_curve(truth, score, drop_intermediate=False)
    return np.asarray(sensitivity[np.searchsorted(false_alarms, GRID, side="right") - 1])


def _precision_on_grid(truth: Bools, score: Floats) -> Floats:
    """Return the precision at the highest cut-off whose recall reaches each point of the grid, float64 101."""
    precision, recall, _ = precision_recall_curve(truth, score)  # recall falls along the array
    first = np.searchsorted(recall[::-1], np.maximum(GRID, 1e-9))
    return np.asarray(precision[len(recall) - 1 - first])
