"""Joined breast ultrasound of three sites: BUSI (Egypt), BUS-BRA (Brazil) and BrEaST (Poland).

One folder holds the three published folders, each directly or one level deeper: ``<root>/BUSBRA`` or
``<root>/<any name>/BUSBRA``. A sample's name begins with the published folder's name at both depths. Every sample has
the traits ``site`` and ``scanner``. All images are compared with each other, across sites too; images that are near
copies are in one group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.images.region import region_name
from training.data.audit.duplicates import NEAR, SAME_SCAN, DuplicatePair, DuplicateSearch, compare
from training.data.audit.groups import united
from training.data.datasets import breast_us, busbra, busi
from training.data.datasets.dataset import SCANNER, SITE, Dataset, Sample, Traits, absent_labels
from training.data.datasets.lesions import marks_of_ultrasound
from training.data.suspicion import suspicion
from training.errors import DatasetError

LABELS = ("benign", "malignant", "normal")
LESION_LABELS = ("benign", "malignant")

EGYPT = "Egypt (BUSI)"
EGYPT_SCANNER = "GE Logiq E9"
"""The scanner of BUSI, as published: LOGIQ E9 and LOGIQ E9 Agile; which of the two made an image is not given."""


@dataclass(frozen=True)
class SiteSource:
    """One of the joined sets.

    Attributes:
        folder: name of the published folder.
        read: reads the layout from the folder that holds the published folder, without comparing images.
        traits: traits of every sample, where the set itself does not record site and scanner.
    """

    folder: str
    read: Callable[[Path], Dataset]
    traits: Traits = ()


SOURCES = (
    SiteSource(busi.FOLDER, busi.read, ((SITE, EGYPT), (SCANNER, EGYPT_SCANNER))),
    SiteSource(busbra.FOLDER, busbra.load),
    SiteSource(breast_us.FOLDER, breast_us.load),
)


def load(root: Path) -> Dataset:
    """Read the three sets below ``root`` and compare all images once.

    A group is a patient, and in BUSI a cluster of near copies, because BUSI names no patient. Groups that share near
    copies are joined, across sites too.

    Raises:
        DatasetError: a set is missing or there twice, or a set does not match its layout.
    """
    dataset = read(root)
    return joined(dataset, compare(dataset.samples, SAME_SCAN))


def read(root: Path) -> Dataset:
    """Read the three sets like :func:`load`, but compare no images: each BUSI image is a group of its own."""
    samples: list[Sample] = []
    traits: dict[str, Traits] = {}
    passed_over: list[str] = []
    notes: list[str] = []
    for source, place in zip(SOURCES, _places(root), strict=True):
        found = source.read(place)
        for sample in found.samples:
            renamed = _renamed(sample, source.folder, found.labels)
            renamed = replace(renamed, suspicion=suspicion(found.traits.get(sample.name, ())))
            samples.append(renamed)
            traits[renamed.name] = source.traits or _site_and_scanner(found.traits[sample.name])
        passed_over += [f"{source.folder}/{name}" for name in found.passed_over]
        notes += [f"{source.folder}: {note}" for note in found.notes]
    ordered = tuple(sorted(samples))
    shares = Counter(value for sample in ordered for trait, value in traits[sample.name] if trait == SITE)
    by_site = ", ".join(f"{count} of {site}" for site, count in sorted(shares.items()))
    return Dataset(
        root,
        LABELS,
        ordered,
        tuple(passed_over),
        grouped_by="patients or scans",
        notes=(f"images by site: {by_site}", *notes, *absent_labels(LABELS, ordered)),
        traits=traits,
    )


def joined(dataset: Dataset, comparison: DuplicateSearch) -> Dataset:
    """Return the data set of :func:`read` with groups joined across the near copies of ``comparison``.

    ``comparison`` was made at :data:`~training.data.audit.duplicates.SAME_SCAN`, which tells frames of one scan. It is
    used within BUSI, where it stands in for patients. All other pairs are joined at
    :data:`~training.data.audit.duplicates.NEAR`.
    """
    kept = replace(comparison, pairs=tuple(pair for pair in comparison.pairs if _same(pair)))
    found = united(dataset, kept)
    across = sum(_folder(pair.first) != _folder(pair.second) for pair in kept.pairs)
    return replace(found, notes=(*found.notes, f"{across} pairs of near-same images are of two sites"))


def load_lesions(root: Path) -> Dataset:
    """Read the marked lesions of the three sets: one region for each lesion mask that is not empty.

    The region is the circle around the centre of the mask's bounding box, and its radius is half the longer side of
    the box, in pixels. The label is that of the image. Normal images have no lesion. Groups are those of :func:`load`.

    Raises:
        DatasetError: as :func:`load`; or a mask and its image differ in size.
    """
    whole = load(root)
    samples: dict[str, Sample] = {}
    image_of: dict[str, str] = {}
    dropped: list[str] = []
    for image in whole.samples:
        if image.label >= len(LESION_LABELS):
            continue
        regions = [region for _, region in marks_of_ultrasound(image)]
        if not regions:
            dropped.append(f"{image.name}: all masks are empty")
        for region in regions:
            name = region_name(image.name, region)
            if name in samples:
                dropped.append(f"{name}: a second mask with the same circle")
            else:
                samples[name] = replace(image, name=name, region=region)
                image_of[name] = image.name
    ordered = tuple(sorted(samples.values()))
    return replace(
        whole,
        labels=LESION_LABELS,
        samples=ordered,
        contradicted=frozenset(name for name, image in image_of.items() if image in whole.contradicted),
        notes=(f"{len(ordered)} lesions are marked in {len(set(image_of.values()))} images", *whole.notes),
        dropped=tuple(dropped),
        traits={name: whole.traits[image] for name, image in image_of.items()},
    )


def _places(root: Path) -> list[Path]:
    """Return for each set the folder that holds its published folder.

    Raises:
        DatasetError: sets are missing, or one is there twice.
    """
    places = [root, *sorted(path for path in root.iterdir() if path.is_dir())] if root.is_dir() else []
    found = {s.folder: [place for place in places if (place / s.folder).is_dir()] for s in SOURCES}
    if missing := [folder for folder, where in found.items() if not where]:
        looked = f"{root} and {len(places) - 1} folders in it" if places else f"{root}, which is no folder"
        raise DatasetError(
            f"{root}: found no folder {', '.join(missing)}, expected {', '.join(found)}. Looked in {looked}. "
            "Unpack the missing sets there: each folder directly, or one level deeper."
        )
    for folder, where in found.items():
        if len(where) > 1:
            raise DatasetError(
                f"{root}: found {folder} in {', '.join(map(str, where))}, expected it once. Move the others away."
            )
    return [where[0] for where in found.values()]


def _renamed(sample: Sample, folder: str, labels: tuple[str, ...]) -> Sample:
    """Return the sample with name and group below the published folder's name, and the label of the joined set."""
    label = LABELS.index(labels[sample.label])
    return replace(sample, name=f"{folder}/{sample.name}", label=label, group=f"{folder}/{sample.group}")


def _site_and_scanner(traits: Traits) -> Traits:
    return tuple((trait, value) for trait, value in traits if trait in (SITE, SCANNER))


def _same(pair: DuplicatePair) -> bool:
    """Return whether a pair is of one scan: at a lower likeness for two images of BUSI, which names no patient."""
    frames = _folder(pair.first) == _folder(pair.second) == busi.FOLDER
    return frames or pair.likeness >= NEAR


def _folder(sample: Sample) -> str:
    return sample.name.split("/", 1)[0]
