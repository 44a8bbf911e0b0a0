"""Draws a case rule: a dot for each patient at their number of confident patches, and the rule as a line."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import CaseRule
from training.policy.cases import Patients
from training.reporting.drawing import BLUE, ORANGE, Floats, canvas, png

_STEP, _HALF = 0.07, 0.38
"""Distance between dots of equal count, and half the height of the band of a side, both in units of the y axis."""


def case_image(patients: Patients, rule: CaseRule, sides: tuple[str, str]) -> bytes:
    """Return a PNG with a dot for each patient, hollow where too few patches were answered to decide.

    The dashed line lies 0.5 below the count of the rule. The axis is linear up to 1 and logarithmic above, because
    patients have from none to thousands of patches.

    Args:
        patients: counted at the confidence of the rule.
        sides: names of the negative and the positive side.
    """
    figure, (axes,) = canvas(520)
    for y, (truth, colour) in enumerate(((~patients.truth, BLUE), (patients.truth, ORANGE))):
        counts, place = patients.counts[truth], y + spread(patients.counts[truth])
        decided = np.maximum(counts, patients.answered[truth]) >= rule.count
        axes.plot(counts[decided], place[decided], "o", color=colour, markersize=5)
        axes.plot(counts[~decided], place[~decided], "o", color=colour, markersize=5, markerfacecolor="white")
    axes.axvline(rule.count - 0.5, color="black", linewidth=1.2, linestyle="--")
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    largest = max(int(patients.counts.max(initial=0)), rule.count)
    ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if tick <= largest]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    names = [f"{side}\n({int(n)} patients)" for side, n in zip(sides, _sizes(patients), strict=True)]
    axes.set_yticks([0, 1], names)
    axes.set(xlim=(-0.3, largest * 1.3), ylim=(-0.5, 1.5), ylabel="truth")
    axes.set_xlabel(
        f"patches called {sides[1]} with a confidence ≥ {rule.confidence:g}\n"
        f"(dashed: the rule, positive from {rule.count})"
    )
    return png(figure)


def spread(counts: npt.NDArray[np.int64]) -> Floats:
    """Return offsets (float64 N, −0.38..0.38) that separate dots of equal count, evenly spaced about 0."""
    offsets = np.zeros(len(counts))
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        step = min(_STEP, 2 * _HALF / max(len(rows) - 1, 1))
        offsets[rows] = (np.arange(len(rows)) - (len(rows) - 1) / 2) * step
    return offsets


def _sizes(patients: Patients) -> tuple[int, int]:
    positives = int(patients.truth.sum())
    return len(patients.truth) - positives, positives
