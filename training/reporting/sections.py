"""Sections that several reports share: one evaluation, and the metrics of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.bundle.spec import ModelSpec
from training.metrics.classwise import Classwise
from training.metrics.evaluation import GAIN
from training.metrics.subgroups import FEWEST
from training.reporting.rendering import Table
from training.reporting.tables import class_table, coverage_table, figure_table, subgroup_table


@dataclass(frozen=True)
class EvaluationSection:
    """Metrics of one subject on one part: on all images, by coverage, by subgroup.

    Attributes:
        grouped_by: name of the groups that a bootstrap draws, in the plural.
        fewest: smallest number of groups for which the metrics of a subgroup have an interval.
    """

    evaluation: Evaluation
    grouped_by: str
    fewest: ClassVar[int] = FEWEST

    @property
    def subject(self) -> str:
        """Name of what was measured, for the heading."""
        name = self.evaluation.subject
        return "Baseline: six colour numbers" if name == "baseline" else f"Measured, {name}"

    @property
    def figures(self) -> Table:
        """Metrics on all images, and the calibration error."""
        calibration = self.evaluation.calibration
        found = (*self.evaluation.figures, *(() if calibration is None else (calibration.error,)))
        return figure_table(figure for figure in found if " at confidence " not in figure.name)

    @property
    def coverage(self) -> Table:
        """Share of images answered at each confidence, and the metrics on them."""
        return coverage_table(self.evaluation)

    @property
    def subgroups(self) -> Table:
        """Metrics by traits of the images, from the data set."""
        return subgroup_table(self.evaluation, self.grouped_by)

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the whole interval of the gain lies above 0; None where there is no baseline."""
        gain = next((figure for figure in self.evaluation.figures if figure.name == GAIN), None)
        return None if gain is None else gain.low is not None and gain.low > 0


@dataclass(frozen=True)
class ClassesSection:
    """Each label against the rest, the two sides, operating point and calibration."""

    found: Classwise
    spec: ModelSpec

    @property
    def negative(self) -> list[str]:
        """The labels that are not positive."""
        return [label for label in self.spec.labels if label not in self.spec.positive]

    @property
    def labels(self) -> Table:
        """Each label against the rest."""
        return class_table(self.found.labels)

    @property
    def sides(self) -> Table:
        """Negative labels against positive ones."""
        return class_table(self.found.sides)

    @property
    def figures(self) -> Table:
        """Operating point and calibration."""
        return figure_table(self.found.figures)
