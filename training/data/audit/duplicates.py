"""Search for exact copies and near copies of images, and their clusters.

*Exact*: the SHA-256 of the decoded pixels is equal; file names, metadata and compression are ignored.
*Near*: the likeness after alignment (:mod:`training.data.audit.likeness`) is at least a threshold.

The search finds copies with other brightness, contrast (CLAHE included), size or compression, and copies with drawn
callipers. It finds quarter turns, mirror images, small crops and small rotations. Measured on BUSI: a crop of 1/20 on
both sides is always found, a crop of 1/10 is not. A rotation of 4° is always found, 8° and 12° mostly, 16° is not. A
series of small steps is joined through its members. Other views of one lesion are not found.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from edge_runtime.bundle.metrics import NearCopies
from edge_runtime.errors import ImageError
from training.data.audit.likeness import ImageDetail, candidates, detail, likeness
from training.data.datasets.dataset import Sample
from training.data.samples import SampleReader

NEAR = 0.8
"""Minimum likeness of near copies.

Measured: different images reach 0.67 (258 mini-MIAS mammograms) and 0.59 (Mendeley, different sources). The minimum
between a Mendeley source and its CLAHE copy is 0.89. Images that show only one straight line are near copies too: in
IDC nine patches along the edge of one cover glass (0.86), of one patient and one label. Tissue stays below.
"""

SAME_SCAN = 0.25
"""Minimum likeness of two *ultrasound* images that are frames of one scan.

All BUSI pairs with a likeness of 0.2 to 0.8 were inspected: each pair is one scan, one or two frames apart. Mammograms
of different women reach 0.67, so this threshold is not valid for other data sets.
"""


@dataclass(frozen=True, order=True)
class DuplicatePair:
    """Two images that are copies of each other, in order of their names.

    Attributes:
        likeness: correlation of the aligned detail, threshold..1; exactly 1 if the pixels are equal.
        exact: True if the decoded pixels are equal.
    """

    first: Sample
    second: Sample
    likeness: float
    exact: bool


@dataclass(frozen=True)
class DuplicateSearch:
    """Result of comparing every image with every other; it does not depend on the order of the images.

    Attributes:
        samples: the images that can be read, sorted by name.
        pairs: pairs at or above the threshold, sorted by name.
        refused: one line for each image that the runtime rejects; these images are not compared.
        threshold: minimum likeness (0..1) of a pair.
    """

    samples: tuple[Sample, ...]
    pairs: tuple[DuplicatePair, ...]
    refused: tuple[str, ...]
    threshold: float = NEAR

    def clusters(self) -> dict[str, str]:
        """Return name → cluster, joined transitively; a cluster has the name of its first member."""
        return closure((s.name for s in self.samples), ((p.first.name, p.second.name) for p in self.pairs))

    def contradictions(self, at_least: float = 0.0) -> tuple[DuplicatePair, ...]:
        """Return the pairs whose labels differ and whose likeness is at least ``at_least`` (0..1)."""
        return tuple(p for p in self.pairs if p.first.label != p.second.label and p.likeness >= at_least)

    def counts(self) -> NearCopies:
        """Return the number of pairs, of exact pairs and of contradictory pairs."""
        exact = sum(pair.exact for pair in self.pairs)
        return NearCopies(self.threshold, len(self.samples), len(self.pairs), exact, len(self.contradictions()))


def closure(names: Iterable[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return name → the first of ``names`` that is linked to it, directly or through other names."""
    rank = {name: place for place, name in enumerate(names)}
    parent = {name: name for name in rank}

    def top(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for one, two in links:
        first, other = sorted((top(one), top(two)), key=rank.__getitem__)
        parent[other] = first
    return {name: top(name) for name in rank}


def clusters(samples: Iterable[Sample], threshold: float = NEAR) -> dict[str, str]:
    """Return name → cluster of near copies; see :meth:`DuplicateSearch.clusters`."""
    return compare(samples, threshold).clusters()


def contradictions(samples: Iterable[Sample]) -> tuple[tuple[Sample, Sample], ...]:
    """Return the pairs of near copies whose labels differ, sorted by name."""
    return tuple((pair.first, pair.second) for pair in compare(samples).contradictions())


def compare(samples: Iterable[Sample], threshold: float = NEAR) -> DuplicateSearch:
    """Read all images and return their exact and near copies; for a region, its square crop is compared."""
    images = SampleReader()
    kept: list[Sample] = []
    hashes: list[str] = []
    details: list[ImageDetail] = []
    refused: list[str] = []
    for sample in tqdm(sorted(samples), desc="reading", unit="image", disable=None, leave=False):
        try:
            pixels = images.read(sample).pixels
        except ImageError as error:
            refused.append(f"{sample.name}: {error.code}")
            continue
        kept.append(sample)
        hashes.append(hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode() + pixels.tobytes()).hexdigest())
        details.append(detail(pixels))
    found = _near(details, threshold) if details else {}
    found.update(dict.fromkeys(_same(hashes), 1.0))
    pairs = [DuplicatePair(kept[i], kept[j], value, hashes[i] == hashes[j]) for (i, j), value in sorted(found.items())]
    return DuplicateSearch(tuple(kept), tuple(pairs), tuple(refused), threshold)


def _near(details: Sequence[ImageDetail], threshold: float) -> dict[tuple[int, int], float]:
    found = {}
    for i, j, turn in tqdm(candidates(details), desc="aligning", unit="pair", disable=None, leave=False):
        value = likeness(details[i], details[j], turn)
        if value >= threshold:
            found[i, j] = value
    return found


def _same(hashes: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield (first row, row of a copy) for all exact copies."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, value in enumerate(hashes):
        rows[value].append(row)
    for first, *copies in rows.values():
        yield from ((first, copy) for copy in copies)
