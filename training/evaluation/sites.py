"""Figures by site and scanner: those of values never seen, with their shift, beside those of test patients."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.bundle.metrics import SiteFigures
from training.data.datasets import Dataset, Sample
from training.errors import ArtifactError
from training.metrics.classwise import ClassOutcomes
from training.metrics.sites import NeverSeen, in_site_figures, never_seen_figures, with_shift


def site_figures(
    never_seen: Sequence[Sequence[NeverSeen]], outcome: ClassOutcomes, samples: Sequence[Sample], dataset: Dataset
) -> tuple[SiteFigures, ...]:
    """Return the never-seen figures of every trait with their shift, then the in-site figures.

    Args:
        never_seen: the folds of each trait that was left out.
        outcome: the network's outcome on its test patients, under its policy.
        samples: the images of ``outcome``, in its order.
        dataset: the data set of all images.

    Raises:
        ArtifactError: a trait is there twice, or images of the folds are not those of ``dataset``.
    """
    traits = [folds[0].trait for folds in never_seen]
    if len(set(traits)) < len(traits):
        raise ArtifactError(f"found two cross-validations that leave out {', '.join(traits)}, expected one per trait.")
    figures: list[SiteFigures] = []
    for folds in never_seen:
        _check_images(folds, dataset)
        pooled, *each = never_seen_figures(folds)
        pairs = zip(each, folds, strict=True)
        figures += [pooled, *(with_shift(one, fold, outcome, samples) for one, fold in pairs)]
    return (*figures, *in_site_figures(outcome, samples, dataset.traits))


def _check_images(folds: Sequence[NeverSeen], dataset: Dataset) -> None:
    """Check that images, groups and labels are those of the data set.

    Raises:
        ArtifactError: they are not.
    """
    known = {(s.name, s.group, s.label) for s in dataset.samples}
    found = {
        (name, str(group), int(label))
        for fold in folds
        for name, group, label in zip(fold.names, fold.outcome.groups, fold.outcome.labels, strict=True)
    }
    if other := sorted(found - known):
        raise ArtifactError(
            f"never-seen {folds[0].trait}: found {len(other)} predictions of images, patients or labels that are not "
            f"in the data, the first {other[0][0]}. Cross-validate on the same --data."
        )
