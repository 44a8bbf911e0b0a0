"""Metrics by subgroup, for example images of dense breasts or of calcifications. An average can hide differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.metrics import Evaluation, Figure, Subgroup
from edge_runtime.bundle.spec import ModelSpec
from training.data.datasets import Sample, Traits
from training.metrics.binary import auroc, positive_truth, rates
from training.metrics.evaluation import bootstrap
from training.metrics.scored import Scored

FEWEST = 5
"""Smallest number of groups for an interval. Draws of fewer groups do not show how much new patients differ."""
SHARES = ("balanced accuracy", "sensitivity", "specificity")


def with_subgroups(
    evaluation: Evaluation,
    found: Scored,
    samples: Sequence[Sample],
    traits: Mapping[str, Traits],
    spec: ModelSpec,
) -> Evaluation:
    """Return ``evaluation`` with the metrics of each subgroup of ``found``.

    An image may have several values of one trait (two lesions of different kinds) and counts in each. A value that
    all images share is left out, because it defines no subgroup.

    Args:
        samples: N, in the order of ``found``.
        traits: name of an image → its traits from the data set.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for row, sample in enumerate(samples):
        for trait in dict.fromkeys(traits.get(sample.name, ())):
            rows.setdefault(trait, []).append(row)
    kept = sorted(trait for trait, members in rows.items() if len(members) < len(samples))
    return replace(
        evaluation, subgroups=tuple(_subgroup(*trait, found.take(np.asarray(rows[trait])), spec) for trait in kept)
    )


def _subgroup(trait: str, value: str, found: Scored, spec: ModelSpec) -> Subgroup:
    truth = positive_truth(found.labels, spec)
    called = found.positive >= spec.policy.cutoff

    def measure(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        shares = rates(truth[rows], called[rows])
        shares["sensitivity"] = shares["recall"]
        answered = {"answered": float(found.answered[rows].mean())}
        return {"auroc": auroc(truth[rows], found.positive[rows])} | {name: shares[name] for name in SHARES} | answered

    groups = len(set(found.groups.tolist()))
    figures = tuple(bootstrap(measure, found.groups))
    if groups < FEWEST:
        figures = tuple(Figure(figure.name, figure.value) for figure in figures)
    return Subgroup(trait, value, len(truth), groups, int(truth.sum()), figures)
