"""Groups joined across near copies, so that a patient, its sources and all near copies are in one part of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from training.data.audit.duplicates import NEAR, DuplicatePair, DuplicateSearch, closure, compare
from training.data.datasets.dataset import Dataset, Sample

_SHOWN = 5


def unite_copies(dataset: Dataset, threshold: float = NEAR) -> Dataset:
    """Compare all images and join the groups that share near copies.

    Args:
        threshold: minimum likeness (0..1) of near copies.

    Returns:
        The data set with joined groups, with the names of contradictory images, and with notes on both.
    """
    return united(dataset, compare(dataset.samples, threshold))


def uniting(load: Callable[[Path], Dataset]) -> Callable[[Path], Dataset]:
    """Return a loader that calls ``load`` and then :func:`unite_copies`."""

    def load_united(root: Path) -> Dataset:
        return unite_copies(load(root))

    return load_united


def united(dataset: Dataset, comparison: DuplicateSearch) -> Dataset:
    """Join the groups that share a pair of ``comparison``; see :func:`unite_copies`."""
    names = united_names(dataset.samples, comparison.pairs)
    before, after = len(names), len(set(names.values()))
    joined = f"{before} {dataset.grouped_by} were joined to {after}: they share near-same images"
    return replace(
        dataset,
        samples=tuple(replace(sample, group=names[sample.group]) for sample in dataset.samples),
        contradicted=dataset.contradicted | contradicted_names(comparison),
        notes=(*dataset.notes, *((joined,) if after < before else ()), *comparison_notes(comparison)),
        near=comparison.counts(),
    )


def united_names(samples: Iterable[Sample], pairs: Iterable[DuplicatePair]) -> dict[str, str]:
    """Return group → name of the joined group, transitively over groups and pairs.

    A joined group has the name of the group of its first sample in the order of names.
    """
    groups = dict.fromkeys(sample.group for sample in sorted(samples))
    return closure(groups, ((pair.first.group, pair.second.group) for pair in pairs))


def contradicted_names(comparison: DuplicateSearch) -> frozenset[str]:
    """Return the names of images that are near copies of an image with another label.

    The threshold is :data:`~training.data.audit.duplicates.NEAR` in every set, not the lower one for frames of a scan.
    Two frames may show two lesions, or one may show a lesion and the other none, so both labels can be correct.
    """
    pairs = comparison.contradictions(NEAR)
    return frozenset(sample.name for pair in pairs for sample in (pair.first, pair.second))


def comparison_notes(comparison: DuplicateSearch) -> tuple[str, ...]:
    """Return notes on contradictory images and on images that could not be compared, if there are any."""
    notes = []
    if pairs := comparison.contradictions(NEAR):
        notes.append(
            f"{len(contradicted_names(comparison))} images in {len(pairs)} near-same pairs (likeness >= {NEAR}) "
            "carry different labels: they are not fitted on, and the figures keep them"
        )
    if refused := comparison.refused:
        more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        notes.append(f"{len(refused)} images cannot be read and were not compared: {_first(refused)}{more}")
    return tuple(notes)


def _first(lines: tuple[str, ...]) -> str:
    return ", ".join(lines[:_SHOWN])
