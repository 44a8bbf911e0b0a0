"""Splits by patient, stratified by label and seeded: all images of a patient are in one part."""

from __future__ import annotations

import csv
import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.datasets import Sample, Traits
from training.data.datasets.dataset import SITE
from training.errors import ArtifactError, DatasetError


class Part(enum.Enum):
    """Part of a split, and the use of its images."""

    TRAIN = "train"  # fitting and int8 calibration
    VALIDATION = "validation"  # every choice: early stopping, thresholds, guard band
    TEST = "test"  # used once, for the reported figures


@dataclass(frozen=True)
class SplitPlan:
    """Shares (0..1) of patients for validation and test; the rest is for training.

    With ``test`` 0 there is no test part, and more patients to fit on. The figures of such a model come from
    cross-validation of its recipe (:mod:`training.experiments.cross_validated_figures`).
    """

    validation: float
    test: float
    seed: int


Split = Mapping[str, Part]
"""Group (patient) → part."""


LARGE = 3.0
"""Groups with more than this many times the median number of images are used for training.

Held out, such a group alone would determine the figures (five of the 223 IDC patients hold 45 % of the patches)."""


def split_by_group(
    samples: Iterable[Sample], plan: SplitPlan, traits: Mapping[str, Traits] | None = None
) -> dict[str, Part]:
    """Assign groups to the three parts, each with about the same share of positive images.

    Groups are sorted by their share of positive images and assigned in runs, so that neighbours in the order are in
    different parts. The seed shuffles equal groups and runs. Very large groups are for training (:data:`LARGE`).

    Args:
        traits: name of a sample → its traits. Where samples have the trait ``site``, each site is dealt separately,
            by the shares of all labels. A group with images of several sites belongs to the site of its first image.

    Raises:
        DatasetError: a part would be empty, of all images or of one site.
    """
    samples = tuple(samples)
    quota = {Part.VALIDATION: plan.validation, Part.TEST: plan.test, Part.TRAIN: 1 - plan.validation - plan.test}
    if not traits or not (site_of := _sites(samples, traits)):
        return _assigned(_labels(samples), quota, plan.seed, lambda found: (float(np.mean(np.asarray(found) > 0)),))
    return _by_site(samples, site_of, quota, plan.seed)


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
    site_of = _sites(samples, traits)
    share = plan.validation / (1 - plan.test)
    folds = []
    for value in sorted(set(value_of.values())):
        tested = {sample.name for sample in samples if value_of[sample.name] == value}
        held_out = {sample.group for sample in samples if sample.name in tested}
        rest = [sample for sample in samples if sample.group not in held_out]
        if not rest:
            raise DatasetError(f"{trait} {value}: found no other patients to fit on. Add another {trait}.")
        split = _by_site(rest, site_of, {Part.VALIDATION: share, Part.TRAIN: 1 - share}, plan.seed)
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


def _sites(samples: Sequence[Sample], traits: Mapping[str, Traits]) -> dict[str, str]:
    """Return group → the site of its first sample that has one, else an empty name; empty if no sample has a site."""
    found: dict[str, str] = {}
    for sample in sorted(samples):
        site = next((value for trait, value in traits.get(sample.name, ()) if trait == SITE), "")
        found[sample.group] = found.get(sample.group) or site
    return found if any(found.values()) else {}


def _by_site(
    samples: Sequence[Sample], site_of: Mapping[str, str], quota: Mapping[Part, float], seed: int
) -> dict[str, Part]:
    """Assign the groups of each site separately, stratified by the shares of all labels."""
    split: dict[str, Part] = {}
    for site in sorted({site_of.get(sample.group, "") for sample in samples}):
        here = _labels(sample for sample in samples if site_of.get(sample.group, "") == site)
        try:
            split |= _assigned(here, quota, seed, _shares)
        except DatasetError as error:
            raise DatasetError(f"site {site}: {error}" if site else str(error)) from None
    return split


def _assigned(
    labels: Mapping[str, list[int]],
    quota: Mapping[Part, float],
    seed: int,
    key: Callable[[list[int]], tuple[float, ...]],
) -> dict[str, Part]:
    """Assign groups (with the labels of their images) to the parts of ``quota``, sorted by ``key`` of the labels.

    Raises:
        DatasetError: a part with a share above 0 would be empty.
    """
    rng = np.random.default_rng(seed)
    most = LARGE * float(np.median([len(found) for found in labels.values()])) if labels else 0.0
    split = {group: Part.TRAIN for group, found in labels.items() if len(found) > most}
    order = sorted((key(found), rng.random(), group) for group, found in sorted(labels.items()) if group not in split)
    dealt = _deal(len(order), quota, rng)
    split |= {entry[-1]: part for entry, part in zip(order, dealt, strict=True)}
    empty = [part.value for part, share in quota.items() if share > 0 and part not in split.values()]
    if empty:
        raise DatasetError(f"found {len(split)} patients, too few to fill {', '.join(empty)}; add patients.")
    return split


def _deal(count: int, quota: Mapping[Part, float], rng: np.random.Generator) -> list[Part]:
    """Return ``count`` parts in which every run is close to the quota; the part with the largest deficit is next."""
    parts = [part for part, share in quota.items() if share > 0]
    served = dict.fromkeys(parts, 0.0)
    jitter = rng.random(len(parts)) * 0.5  # random start of each part in its cycle
    dealt = []
    for turn in range(1, count + 1):
        deficit = [quota[part] * turn - served[part] + jitter[i] for i, part in enumerate(parts)]
        part = parts[int(np.argmax(deficit))]
        served[part] += 1
        dealt.append(part)
    return dealt


def folds_by_group(samples: Iterable[Sample], k: int, seed: int) -> tuple[dict[str, Part], ...]:
    """Assign groups to ``k`` folds and return one split per fold.

    In split i, fold i is for test, the next fold for validation and the others for training. Each group is tested in
    exactly one split. Groups are sorted by their shares of the labels and assigned in runs of ``k``, one per fold in
    shuffled order. Folds therefore have about the same mix of labels, and their group counts differ by one at most.

    Very large groups (:data:`LARGE`) are tested too, unlike in :func:`split_by_group`. The folds' predictions are
    pooled, so no such group determines the figures alone, and a pool without these groups would not cover them. They
    are assigned first, from largest to smallest, so that no fold gets a second one before each fold has one.

    Raises:
        DatasetError: ``k`` is below 3, or there are fewer groups than folds.
    """
    labels = _labels(samples)
    if k < 3:
        raise DatasetError(f"found {k} folds, expected 3 or more: for test, validation and training. Use more folds.")
    if len(labels) < k:
        raise DatasetError(f"found {len(labels)} groups for {k} folds, expected at least one each. Use fewer folds.")
    rng = np.random.default_rng(seed)
    most = LARGE * float(np.median([len(found) for found in labels.values()]))
    large = sorted((g for g in labels if len(labels[g]) > most), key=lambda g: (-len(labels[g]), g))
    usual = sorted((_shares(labels[g]), rng.random(), g) for g in sorted(set(labels) - set(large)))
    order = [*large, *(entry[-1] for entry in usual)]
    fold_of: dict[str, int] = {}
    for start in range(0, len(order), k):
        fold_of |= dict(zip(order[start : start + k], rng.permutation(k).tolist(), strict=False))
    parts = {0: Part.TEST, 1: Part.VALIDATION}
    return tuple({g: parts.get((f - turn) % k, Part.TRAIN) for g, f in fold_of.items()} for turn in range(k))


def _labels(samples: Iterable[Sample]) -> dict[str, list[int]]:
    """Return group → the labels of its images."""
    labels: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        labels[sample.group].append(sample.label)
    return labels


def _shares(labels: list[int]) -> tuple[float, ...]:
    """Return the shares (0..1) of label 1, label 2, … up to the largest; for two labels the share of positives."""
    return tuple(labels.count(label) / len(labels) for label in range(1, max(labels) + 1))


def select(samples: Iterable[Sample], split: Split, part: Part) -> tuple[Sample, ...]:
    """Return the samples of one part, in their given order.

    Raises:
        DatasetError: a sample's group is not in the split.
    """
    samples = tuple(samples)
    unknown = sorted({sample.group for sample in samples} - set(split))
    if unknown:
        raise DatasetError(
            f"{len(unknown)} patients are not in this model's split, the first {unknown[0]}. "
            "They were added after training: fit again, or evaluate with --part all to use every patient."
        )
    return tuple(sample for sample in samples if split[sample.group] is part)


def usable(samples: Iterable[Sample], part: Part, contradicted: frozenset[str]) -> tuple[Sample, ...]:
    """Return the samples that may be used in ``part``: all for test, else those not in ``contradicted``."""
    return tuple(sample for sample in samples if part is Part.TEST or sample.name not in contradicted)


def write_split(path: Path, split: Split) -> None:
    """Write a CSV file with the columns ``group,part``, sorted by group."""
    lines = [f"{group},{part.value}" for group, part in sorted(split.items())]
    path.write_text("\n".join(["group,part", *lines]) + "\n", encoding="utf-8")


def read_split(path: Path) -> dict[str, Part]:
    """Return the split that :func:`write_split` wrote.

    Raises:
        ArtifactError: the file is missing, or a line has no valid part.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; a training artifact keeps its split there. Fit the recipe again.")
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            return {row["group"]: Part(row["part"]) for row in csv.DictReader(lines)}
        except (KeyError, ValueError) as error:
            raise ArtifactError(f"{path}: expected lines 'group,part', found {error}.") from None
