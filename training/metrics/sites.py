"""Figures by site and scanner: of values that the network never saw, of held-out patients of its own, and the shift.

All intervals are by bootstrap over groups. Never-seen values are those that a fold of
``crossvalidate --leave-out`` left out. Each such fold has a cut-off of its own, fitted on validation patients of the
other values; therefore sensitivity and specificity show what a cut-off is worth at a site that it was not fitted for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.metrics import Figure, SiteFigures, Subgroup
from training.data.datasets import Sample, Traits
from training.data.datasets.dataset import SCANNER, SITE
from training.metrics.binary import auroc, rates
from training.metrics.classwise import ClassOutcomes
from training.metrics.evaluation import bootstrap
from training.metrics.subgroups import FEWEST

TRAITS = (SITE, SCANNER)
"""The traits that tell where an image was made."""

ALL = "all"
"""The value of all never-seen values together."""

FIGURES = ("auroc", "sensitivity", "specificity")
SHIFT = "auroc never seen minus in-site"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class NeverSeen:
    """Predictions for the images of one value, by a network that was fitted without the value.

    Attributes:
        outcome: labels, logits and groups under the policy that was fitted on the fold's validation patients.
        names: name of each image.
        cutoff: the fitted cut-off; None if the validation patients allow none.
    """

    trait: str
    value: str
    outcome: ClassOutcomes
    names: tuple[str, ...]
    cutoff: float | None


def never_seen_figures(folds: Sequence[NeverSeen]) -> tuple[SiteFigures, ...]:
    """Return the figures of all never-seen values together, then of each value.

    Scores of different folds are not on one scale. The AUROC of all together is, if anything, too low.
    """
    truth, score, groups = (
        np.concatenate([getattr(fold.outcome, name) for fold in folds]) for name in ("truth", "positive", "groups")
    )
    complete = all(fold.cutoff is not None for fold in folds)
    called = np.concatenate([fold.outcome.called for fold in folds]) if complete else None
    trait = folds[0].trait
    return (
        _figures(trait, ALL, truth, score, called, groups, never_seen=True),
        *(_of_fold(fold) for fold in folds),
    )


def _of_fold(fold: NeverSeen) -> SiteFigures:
    found = fold.outcome
    called = None if fold.cutoff is None else found.called
    figures = _figures(fold.trait, fold.value, found.truth, found.positive, called, found.groups, never_seen=True)
    return replace(figures, cutoff=fold.cutoff)


def in_site_figures(
    outcome: ClassOutcomes, samples: Sequence[Sample], traits: Mapping[str, Traits]
) -> tuple[SiteFigures, ...]:
    """Return the figures of each site and scanner among held-out patients, at the spec's cut-off.

    Args:
        samples: N, in the order of ``outcome``.
        traits: name of an image → its traits from the data set.
    """
    found = []
    for trait in TRAITS:
        for value, rows in _rows(samples, traits, trait).items():
            called, groups = outcome.called[rows], outcome.groups[rows]
            figures = _figures(trait, value, outcome.truth[rows], outcome.positive[rows], called, groups)
            found.append(replace(figures, cutoff=outcome.spec.policy.cutoff))
    return tuple(found)


def with_shift(figures: SiteFigures, fold: NeverSeen, outcome: ClassOutcomes, samples: Sequence[Sample]) -> SiteFigures:
    """Return never-seen figures with the shift from the figures of the same value in-site.

    The bootstrap draws the groups of the value. The never-seen AUROC is of all their images, the in-site AUROC of
    those among them that are held out in ``outcome``, so that images in both are drawn together.

    Args:
        fold: the predictions of which ``figures`` are.
        outcome: predictions of the network that was fitted on all values, for its held-out patients.
        samples: N, in the order of ``outcome``.
    """
    row_of = {sample.name: row for row, sample in enumerate(samples)}
    known = [(row, row_of[name]) for row, name in enumerate(fold.names) if name in row_of]
    held_out = np.zeros(len(fold.names), dtype=np.bool_)
    in_site = np.zeros(len(fold.names))
    for row, other in known:
        held_out[row], in_site[row] = True, outcome.positive[other]
    truth, never_seen, groups = fold.outcome.truth, fold.outcome.positive, fold.outcome.groups

    def measure(rows: Rows) -> dict[str, float]:
        same = rows[held_out[rows]]
        if not len(same):
            return {SHIFT: float("nan")}
        return {SHIFT: auroc(truth[rows], never_seen[rows]) - auroc(truth[same], in_site[same])}

    found = bootstrap(measure, groups)
    few = len({groups[row] for row, _ in known}) < FEWEST
    return replace(figures, shift=(_without_interval(found, few=few) or (None,))[0])


def of_subgroups(subgroups: Sequence[Subgroup], cutoff: float) -> tuple[SiteFigures, ...]:
    """Return the subgroups by site and scanner of an evaluation on held-out patients, as in-site figures."""
    return tuple(
        SiteFigures(
            found.trait,
            found.value,
            never_seen=False,
            images=found.images,
            groups=found.groups,
            positives=found.positives,
            figures=tuple(figure for name in FIGURES for figure in found.figures if figure.name == name),
            cutoff=cutoff,
        )
        for trait in TRAITS
        for found in subgroups
        if found.trait == trait
    )


def _rows(samples: Sequence[Sample], traits: Mapping[str, Traits], trait: str) -> dict[str, Rows]:
    """Return value → rows of the samples that have it, sorted by value."""
    found: dict[str, list[int]] = {}
    for row, sample in enumerate(samples):
        for value in dict.fromkeys(value for name, value in traits.get(sample.name, ()) if name == trait):
            found.setdefault(value, []).append(row)
    return {value: np.array(rows, dtype=np.intp) for value, rows in sorted(found.items())}


def _figures(
    trait: str,
    value: str,
    truth: Bools,
    score: Floats,
    called: Bools | None,
    groups: npt.NDArray[np.str_],
    *,
    never_seen: bool = False,
) -> SiteFigures:
    def measure(rows: Rows) -> dict[str, float]:
        found = {"auroc": auroc(truth[rows], score[rows])}
        if called is None:
            return found
        shares = rates(truth[rows], called[rows])
        return found | {"sensitivity": shares["recall"], "specificity": shares["specificity"]}

    count = len(set(groups.tolist()))
    figures = _without_interval(bootstrap(measure, groups), few=count < FEWEST)
    return SiteFigures(trait, value, never_seen, len(truth), count, int(truth.sum()), figures)


def _without_interval(figures: Sequence[Figure], *, few: bool) -> tuple[Figure, ...]:
    """Return the figures; without intervals if there are too few groups for one."""
    return tuple(Figure(figure.name, figure.value) if few else figure for figure in figures)
