"""Assign patients to the parts of a split, stratified by label and seeded: all images of a patient are in one part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from training.data.datasets import Sample, Traits
from training.data.datasets.dataset import SITE
from training.data.splits import Part, SplitPlan
from training.errors import DatasetError

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
    if not traits or not (site_of := sites_of(samples, traits)):
        return assign(
            labels_by_group(samples), quota, plan.seed, lambda found: (float(np.mean(np.asarray(found) > 0)),)
        )
    return assign_by_site(samples, site_of, quota, plan.seed)


def sites_of(samples: Sequence[Sample], traits: Mapping[str, Traits]) -> dict[str, str]:
    """Return group → the site of its first sample that has one, else an empty name; empty if no sample has a site."""
    found: dict[str, str] = {}
    for sample in sorted(samples):
        site = next((value for trait, value in traits.get(sample.name, ()) if trait == SITE), "")
        found[sample.group] = found.get(sample.group) or site
    return found if any(found.values()) else {}


def assign_by_site(
    samples: Sequence[Sample], site_of: Mapping[str, str], quota: Mapping[Part, float], seed: int
) -> dict[str, Part]:
    """Assign the groups of each site separately, stratified by the shares of all labels."""
    split: dict[str, Part] = {}
    for site in sorted({site_of.get(sample.group, "") for sample in samples}):
        here = labels_by_group(sample for sample in samples if site_of.get(sample.group, "") == site)
        try:
            split |= assign(here, quota, seed, shares)
        except DatasetError as error:
            raise DatasetError(f"site {site}: {error}" if site else str(error)) from None
    return split


def assign(
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


def labels_by_group(samples: Iterable[Sample]) -> dict[str, list[int]]:
    """Return group → the labels of its images."""
    labels: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        labels[sample.group].append(sample.label)
    return labels


def shares(labels: list[int]) -> tuple[float, ...]:
    """Return the shares (0..1) of label 1, label 2, … up to the largest; for two labels the share of positives."""
    return tuple(labels.count(label) / len(labels) for label in range(1, max(labels) + 1))
