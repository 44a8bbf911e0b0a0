"""Audit of a data set for faults that inflate figures: copies, contradictory labels, and copies across a split."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge_runtime.serialisation.csv_file import read_rows
from training.data.audit.duplicates import NEAR, SAME_SCAN, DuplicatePair, DuplicateSearch, compare
from training.data.datasets import Dataset, Sample, breast_us, busbra, busi, idc, mendeley, mias, ultrasound
from training.errors import DatasetError


@dataclass(frozen=True)
class AuditedSet:
    """A published data set and the settings of its audit.

    Attributes:
        load: function that reads the layout without comparing images; the audit compares them once.
        threshold: minimum likeness (0..1) of near copies.
        source_of: function that returns the source of an image, where file names contain it.
        finish: function that derives groups from the comparison, where the set names no patient.
    """

    load: Callable[[Path], Dataset]
    threshold: float = NEAR
    source_of: Callable[[Sample], str] | None = None
    finish: Callable[[Dataset, DuplicateSearch], Dataset] = lambda dataset, comparison: dataset


SETS = {
    "breast": AuditedSet(breast_us.load),
    "busbra": AuditedSet(busbra.load),
    "busi": AuditedSet(busi.read, SAME_SCAN, finish=busi.clustered),
    "idc": AuditedSet(idc.load),
    "mendeley": AuditedSet(mendeley.load, source_of=mendeley.source_of),
    "mias": AuditedSet(mias.load),
    "ultrasound": AuditedSet(ultrasound.read, SAME_SCAN, finish=ultrasound.joined),
}


@dataclass(frozen=True)
class AuditFinding:
    """Two images that are copies: names, labels, groups and likeness; ``exact`` means equal pixels and likeness 1."""

    first: str
    second: str
    labels: tuple[str, str]
    groups: tuple[str, str]
    likeness: float
    exact: bool


@dataclass(frozen=True)
class Audit:
    """Report of an audit.

    Attributes:
        threshold: minimum likeness (0..1) of near copies.
        clusters: names of the images of each cluster of copies, largest cluster first.
        across_groups: clusters with images of more than one group.
        contradictions: near copies with different labels.
        copies_per_source: number of files made from one source → number of such sources; empty if file names do not
            contain the source.
        straddling_groups, straddling_clusters: groups and clusters that are in more than one part of the split.
        passed_over, refused: files that are not images of the layout, and images that cannot be read.
    """

    dataset: str
    labels: tuple[str, ...]
    summary: str
    notes: tuple[str, ...]
    threshold: float
    exact: tuple[AuditFinding, ...]
    clusters: tuple[tuple[str, ...], ...]
    across_groups: tuple[tuple[str, ...], ...]
    contradictions: tuple[AuditFinding, ...]
    copies_per_source: dict[int, int]
    straddling_groups: tuple[str, ...]
    straddling_clusters: tuple[tuple[str, ...], ...]
    passed_over: tuple[str, ...]
    refused: tuple[str, ...]

    @property
    def leaks(self) -> bool:
        """Whether a group or a cluster is in more than one part of the split."""
        return bool(self.straddling_groups or self.straddling_clusters)


def audit(name: str, root: Path, split: Path | None = None) -> tuple[Audit, tuple[DuplicatePair, ...]]:
    """Compare all images of the set ``name`` below ``root``; return the report and the pairs.

    Args:
        name: a key of ``SETS``.
        root: folder with the published layout.
        split: CSV with a header ``group,part``, or ``name,part`` with the names of images.

    Raises:
        DatasetError: the set is unknown, or the layout or the split is not valid.
    """
    if name not in SETS:
        raise DatasetError(f"{name}: found no such data set, expected one of {', '.join(sorted(SETS))}.")
    chosen = SETS[name]
    read = chosen.load(root)
    found = compare(read.samples, chosen.threshold)
    dataset = chosen.finish(read, found)
    comparison = _regrouped(found, dataset)
    parts = {} if split is None else _parts(split, dataset.samples)
    return judge(name, dataset, comparison, parts), comparison.pairs


def judge(name: str, dataset: Dataset, comparison: DuplicateSearch, parts: dict[str, str]) -> Audit:
    """Return the report of a comparison; ``parts`` maps names of images to parts of a split."""
    cluster_of = comparison.clusters()
    clusters = _gather({s: cluster_of[s.name] for s in comparison.samples})
    groups = _gather({s: s.group for s in dataset.samples})
    source_of = SETS[name].source_of
    sources = Counter(source_of(s) for s in dataset.samples) if source_of else Counter[str]()
    findings = {pair: _finding(pair, dataset.labels) for pair in comparison.pairs}
    return Audit(
        name,
        dataset.labels,
        dataset.summary(),
        notes=dataset.notes,
        threshold=SETS[name].threshold,
        exact=tuple(found for pair, found in findings.items() if pair.exact),
        clusters=_names(clusters),
        across_groups=_names(c for c in clusters if len({s.group for s in c}) > 1),
        contradictions=tuple(findings[pair] for pair in comparison.contradictions()),
        copies_per_source=dict(sorted(Counter(sources.values()).items())),
        straddling_groups=tuple(sorted(g[0].group for g in groups if _straddles(g, parts))),
        straddling_clusters=_names(c for c in clusters if _straddles(c, parts)),
        passed_over=dataset.passed_over,
        refused=comparison.refused,
    )


def to_json(report: Audit) -> str:
    """Return the report as indented JSON with sorted keys."""
    return json.dumps(asdict(report), indent=2, sort_keys=True)


def _regrouped(comparison: DuplicateSearch, dataset: Dataset) -> DuplicateSearch:
    """Return the comparison with the groups of ``dataset``."""
    known = {sample.name: sample for sample in dataset.samples}
    pairs = (replace(p, first=known[p.first.name], second=known[p.second.name]) for p in comparison.pairs)
    return replace(comparison, samples=tuple(known[s.name] for s in comparison.samples), pairs=tuple(pairs))


def _gather(keys: dict[Sample, str]) -> list[tuple[Sample, ...]]:
    """Return the samples of each key that two or more samples share, largest first, then by name."""
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample, key in keys.items():
        members[key].append(sample)
    shared = [tuple(sorted(found)) for found in members.values() if len(found) > 1]
    return sorted(shared, key=lambda found: (-len(found), found[0].name))


def _names(clusters: Iterable[tuple[Sample, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(sample.name for sample in cluster) for cluster in clusters)


def _straddles(samples: tuple[Sample, ...], parts: dict[str, str]) -> bool:
    return len({parts[sample.name] for sample in samples if sample.name in parts}) > 1


def _finding(pair: DuplicatePair, labels: tuple[str, ...]) -> AuditFinding:
    one, two = pair.first, pair.second
    both = (labels[one.label], labels[two.label])
    return AuditFinding(one.name, two.name, both, (one.group, two.group), round(pair.likeness, 4), pair.exact)


def _parts(path: Path, samples: tuple[Sample, ...]) -> dict[str, str]:
    """Return name of an image → part, read from the CSV file ``path``."""
    if not path.is_file():
        raise DatasetError(f"{path}: found no such file, expected a split with a header group,part. Check the path.")
    rows = read_rows(path, ["group,part", "name,part"], DatasetError)
    if not rows:
        raise DatasetError(f"{path}: found no lines under the header, expected some. Write the split again.")
    key = "name" if "name" in rows[0].fields else "group"
    known: dict[str, str] = {}
    for row in rows:
        if known.setdefault(row.fields[key], row.fields["part"]) != row.fields["part"]:
            raise DatasetError(
                f"{path}, line {row.line}: found {key} {row.fields[key]} in a second part, expected one part each. "
                "Correct the split."
            )
    parts = {s.name: known[k] for s in samples if (k := s.name if key == "name" else s.group) in known}
    if not parts:
        raise DatasetError(
            f"{path}: found no {key} of this data set; the first {key} is {rows[0].fields[key]!r}. Check --data."
        )
    return parts
