"""Figures of the model card: tables of one evaluation, and the network compared with the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.bundle.metrics import Evaluation, Figure
from training.metrics.evaluation import GAIN
from training.reporting.rendering import Table
from training.reporting.tables import coverage_table, figure_table, subgroup_table

BASELINE = "baseline"
_MAIN = (
    *("balanced accuracy", "auroc", "sensitivity", "specificity", "accuracy", "precision", "recall", "f1"),
    *("label accuracy", "mean label recall", "macro F1", "answered", "error among answered", GAIN),
)


def figure_of(evaluation: Evaluation | None, name: str) -> Figure | None:
    """Return the figure with this name; None if it was not measured."""
    figures = () if evaluation is None else evaluation.figures
    return next((figure for figure in figures if figure.name == name), None)


@dataclass(frozen=True)
class Analysis:
    """Tables of one evaluation.

    Attributes:
        groups: the units that the bootstrap draws, in the plural, for example patients.
    """

    evaluation: Evaluation
    groups: str

    @property
    def subject(self) -> str:
        """Heading of the evaluation."""
        name = self.evaluation.subject
        return "Baseline: six colour numbers" if name == BASELINE else f"Measured on {name}"

    @property
    def figures(self) -> Table:
        """Figures on all images, and the calibration error."""
        calibration = self.evaluation.calibration
        found = [figure for name in _MAIN if (figure := figure_of(self.evaluation, name)) is not None]
        return figure_table(found if calibration is None else [*found, calibration.error])

    @property
    def coverage(self) -> Table:
        """Coverage at each confidence floor, and the figures of the answered images."""
        return coverage_table(self.evaluation, "answered at confidence ≥", mark="")

    @property
    def subgroups(self) -> Table:
        """Figures for each subgroup that the data set defines."""
        return subgroup_table(self.evaluation, self.groups, "images")

    @property
    def reliability(self) -> Table:
        """Bins of about equal count from which the calibration error is computed."""
        calibration = self.evaluation.calibration
        rows = (
            (f"{found.low:.3f}–{found.high:.3f}", str(found.count), f"{found.confidence:.3f}", f"{found.accuracy:.3f}")
            for found in (calibration.bins if calibration else ())
        )
        return Table(("confidence", "images", "mean confidence", "share right"), tuple(rows))


@dataclass(frozen=True)
class BaselineComparison:
    """Balanced accuracy of the network and of the baseline; ``gain`` is their paired difference, if known."""

    network: Figure
    baseline: Figure
    gain: Figure | None

    @property
    def beaten(self) -> bool:
        """Whether the whole interval of the gain is above 0."""
        return self.gain is not None and self.gain.low is not None and self.gain.low > 0
