"""Folds of a cross-validation: by group, or with one value of a trait left out of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.data.assignment import LARGE, assign_by_site, labels_by_group, shares, sites_of
from training.data.datasets import Sample, Traits
from training.data.splits import Part, Split, SplitPlan
from training.errors import DatasetError


def folds_by_group(samples: Iterable[Sample], k: int, seed: int) -> tuple[dict[str, Part], ...]:
    """Assign groups to ``k`` folds and return one split per fold.

    In split i, fold i is for test, the next fold for validation and the others for training. Each group is tested in
    exactly one split. Groups are sorted by their shares of the labels and assigned in runs of ``k``, one per fold in
    shuffled order. Folds therefore have about the same mix of labels, and their group counts differ by one at most.

    Very large groups (:data:`LARGE`) are tested too, unlike in :func:`training.data.assignment.split_by_group`. The
    folds' predictions are pooled, so no such group determines the figures alone, and a pool without these groups would
    not cover them. They are assigned first, from largest to smallest, so that no fold gets a second one before each
    fold has one.

    Raises:
        DatasetError: ``k`` is below 3, or there are fewer groups than folds.
    """
    labels = labels_by_group(samples)
    if k < 3:
        raise DatasetError(f"found {k} folds, expected 3 or more: for test, validation and training. Use more folds.")
    if len(labels) < k:
        raise DatasetError(f"found {len(labels)} groups for {k} folds, expected at least one each. Use fewer folds.")
    rng = np.random.default_rng(seed)
    most = LARGE * float(np.median([len(found) for found in labels.values()]))
    large = sorted((g for g in labels if len(labels[g]) > most), key=lambda g: (-len(labels[g]), g))
    usual = sorted((shares(labels[g]), rng.random(), g) for g in sorted(set(labels) - set(large)))
    order = [*large, *(entry[-1] for entry in usual)]
    fold_of: dict[str, int] = {}
    for start in range(0, len(order), k):
        fold_of |= dict(zip(order[start : start + k], rng.permutation(k).tolist(), strict=False))
    parts = {0: Part.TEST, 1: Part.VALIDATION}
    return tuple({g: parts.get((f - turn) % k, Part.TRAIN) for g, f in fold_of.items()} for turn in range(k))


@dataclass(frozen=True)
class LeftOut:
    """A fold that leaves out one value of a trait, for example one site.

    Attributes:
        value: the value that is left out.
        tested: names of the samples with that value.
        split: every group; a group with such a sample is for test, and its other samples are not used in this fold.
    """

    value: str
    tested: frozenset[str]
    split: Split


def leave_out(
    samples: Iterable[Sample], plan: SplitPlan, traits: Mapping[str, Traits], trait: str
) -> tuple[LeftOut, ...]:
    """Return one fold for each value of ``trait``, sorted by value: test is that value, the rest for fitting.

    The rest is split by patient within site into training and validation, in the proportion of ``plan``.

    Raises:
        DatasetError: no sample has the trait, a sample has no value or several, all samples have one value, or the
            rest of a fold is too small to split.
    """
    samples = tuple(samples)
    value_of = _values(samples, traits, trait)
    site_of = sites_of(samples, traits)
    share = plan.validation / (1 - plan.test)
    folds = []
    for value in sorted(set(value_of.values())):
        tested = {sample.name for sample in samples if value_of[sample.name] == value}
        held_out = {sample.group for sample in samples if sample.name in tested}
        rest = [sample for sample in samples if sample.group not in held_out]
        if not rest:
            raise DatasetError(f"{trait} {value}: found no other patients to fit on. Add another {trait}.")
        split = assign_by_site(rest, site_of, {Part.VALIDATION: share, Part.TRAIN: 1 - share}, plan.seed)
        folds.append(LeftOut(value, frozenset(tested), split | dict.fromkeys(held_out, Part.TEST)))
    return tuple(folds)


def _values(samples: Sequence[Sample], traits: Mapping[str, Traits], trait: str) -> dict[str, str]:
    """Return name of a sample → its value of ``trait``.

    Raises:
        DatasetError: see :func:`leave_out`.
    """
    found = {s.name: sorted({value for name, value in traits.get(s.name, ()) if name == trait}) for s in samples}
    if not any(found.values()):
        known = ", ".join(sorted({name for each in traits.values() for name, _ in each})) or "none"
        raise DatasetError(
            f"found no trait {trait} in this data set, expected one of its traits: {known}. Leave out one of these, or "
            "use a data set that has the trait."
        )
    if wrong := sorted(name for name, values in found.items() if len(values) != 1):
        raise DatasetError(
            f"{len(wrong)} of {len(found)} images have no value of the trait {trait} or several, the first {wrong[0]}: "
            f"{', '.join(found[wrong[0]]) or 'none'}. Each image must have one. Leave out another trait."
        )
    if len(values := {each[0] for each in found.values()}) == 1:
        raise DatasetError(f"found one value of the trait {trait}, {next(iter(values))}; expected two or more.")
    return {name: each[0] for name, each in found.items()}
