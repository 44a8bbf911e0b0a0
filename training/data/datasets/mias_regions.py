"""Loader of mini-MIAS regions: each lesion with a position, and normal tissue at the same positions.

The layout is that of :mod:`training.data.datasets.mias`. A lesion's region is the circle of ``Info.txt``. Its controls
are the same circle in other images, so that neither position nor size separates lesions from tissue:

- up to ``CONTROLS`` normal images of the same side (odd or even number) of other patients, in the order of a SHA-256
  of the two names: the choice depends only on the lesion and on which of these images show tissue there;
- the same patient's other breast, mirrored, if that is a normal image.

A control is used only if at least ``TISSUE`` of its square (:data:`training.data.samples.TIGHT`) is brighter than
``AIR``. Lesions are kept at any position, except entirely in air: there ``Info.txt`` must be wrong (mdb212 of the
published set). A group is a patient: a control for another patient's lesion belongs to the patient in its image.

Source: Suckling et al. 1994, Excerpta Medica Int. Congress Series 1069:375. Research use only.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_runtime.errors import ImageError
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import Region, crop, region_name
from training.data.datasets import mias
from training.data.datasets.dataset import Dataset, Sample, absent_labels
from training.data.samples import TIGHT

LABELS = ("normal tissue", "lesion")
CONTROLS = 4
TISSUE = 0.9
LEAST_TISSUE = 0.01
"""Minimum share of a lesion's square that is brighter than air; a square with less shows no breast."""
AIR = 20
"""Maximum value (of 0..255) of a pixel of air: the film around the breast is dark."""


@dataclass(frozen=True)
class _Candidate:
    """A possible control: a lesion's circle in a normal image, and the share (0..1) of tissue in its square."""

    sample: Sample
    tissue: float

    @property
    def fits(self) -> bool:
        return self.tissue >= TISSUE

    def dropped(self) -> str:
        return f"{self.sample.name}: {self.tissue:.0%} of the square is tissue"


def load(root: Path, *, strict: bool = False) -> Dataset:
    """Read the layout below ``root`` and select the controls; every normal image is decoded once.

    Args:
        root, strict: as :func:`training.data.datasets.mias.load`.

    Raises:
        DatasetError: as :func:`training.data.datasets.mias.load`.
    """
    whole = mias.load(root, strict=strict)
    placed, spread = _lesions(whole.samples)
    lesions = [lesion for lesion in placed if not _in_air(lesion)]
    candidates, unreadable = _candidates(lesions, [sample for sample in whole.samples if not sample.label])
    controls: dict[str, Sample] = {}
    dropped: dict[str, str] = {}
    for lesion in lesions:
        chosen, refused = _chosen(lesion, candidates[lesion.name])
        controls.update((candidate.sample.name, candidate.sample) for candidate in chosen)
        dropped.update((candidate.sample.name, candidate.dropped()) for candidate in refused)
    in_air = tuple(f"{lesion.name}: a lesion in air" for lesion in placed if lesion not in lesions)
    samples = tuple(sorted((*lesions, *controls.values())))
    return Dataset(
        whole.root,
        LABELS,
        samples,
        whole.passed_over,
        grouped_by="women",
        notes=(*_notes(lesions, controls, dropped, spread, unreadable), *absent_labels(LABELS, samples)),
        dropped=(*in_air, *dropped.values()),
    )


def _lesions(images: Sequence[Sample]) -> tuple[list[Sample], int]:
    """Return a sample for each lesion with a position, and the number of lesions without one."""
    found, spread = [], 0
    for image in images:
        for lesion in mias.lesions(image) if image.label else ():
            if lesion.centre_px is None or lesion.radius_px is None:
                spread += 1
            else:
                found.append(_marked(image, Region(*lesion.centre_px, lesion.radius_px), LABELS.index("lesion")))
    return found, spread


def _marked(image: Sample, region: Region, label: int) -> Sample:
    return replace(image, name=region_name(image.name, region), region=region, label=label)


def _candidates(
    lesions: Sequence[Sample], normal: Sequence[Sample]
) -> tuple[dict[str, list[_Candidate]], tuple[str, ...]]:
    """Return name of a lesion → its candidates, and the names of normal images that cannot be read."""
    found: dict[str, list[_Candidate]] = defaultdict(list)
    unreadable = []
    for sample in normal:
        try:
            image = read(sample.path)
        except ImageError:
            unreadable.append(sample.name)
            continue
        for lesion in lesions:
            if (region := _place(lesion, sample, image)) is not None:
                control = _marked(sample, region, LABELS.index("normal tissue"))
                found[lesion.name].append(_Candidate(control, _tissue(image, region)))
    return found, tuple(unreadable)


def _place(lesion: Sample, sample: Sample, image: DecodedImage) -> Region | None:
    """Return a lesion's circle in a normal image: at the same position, or mirrored in the patient's other breast.

    Return None if the image is the other side of another patient.
    """
    same_side = _number(lesion) % 2 == _number(sample) % 2
    if lesion.region is None or same_side == (lesion.group == sample.group):
        return None
    return lesion.region if same_side else replace(lesion.region, x=image.pixels.shape[1] - 1 - lesion.region.x)


def _number(sample: Sample) -> int:
    return int(sample.path.stem.removeprefix("mdb"))


def _tissue(image: DecodedImage, region: Region) -> float:
    """Return the share of the square that is brighter than air, 0..1; 0 if the image has no such region."""
    try:
        return float(np.mean(crop(image, region, TIGHT).pixels > AIR))
    except ImageError:
        return 0.0


def _in_air(lesion: Sample) -> bool:
    """Return whether a lesion's square shows no breast; False if the image cannot be read (reported by the fit)."""
    try:
        image = read(lesion.path)
    except ImageError:
        return False
    return lesion.region is not None and _tissue(image, lesion.region) < LEAST_TISSUE


def _chosen(lesion: Sample, candidates: Sequence[_Candidate]) -> tuple[list[_Candidate], list[_Candidate]]:
    """Return a lesion's controls, and the candidates ranked before the last control that show too little tissue."""
    mirrored = [candidate for candidate in candidates if candidate.sample.group == lesion.group]
    ranked = sorted((c for c in candidates if c.sample.group != lesion.group), key=lambda c: _rank(lesion, c.sample))
    chosen = [candidate for candidate in mirrored if candidate.fits]
    refused = [candidate for candidate in mirrored if not candidate.fits]
    most = len(chosen) + CONTROLS
    for candidate in ranked:
        if len(chosen) == most:
            break
        (chosen if candidate.fits else refused).append(candidate)
    return chosen, refused


def _rank(lesion: Sample, control: Sample) -> str:
    return hashlib.sha256(f"{lesion.name}\n{control.path.name}".encode()).hexdigest()


def _notes(
    lesions: Sequence[Sample],
    controls: dict[str, Sample],
    dropped: dict[str, str],
    spread: int,
    unreadable: tuple[str, ...],
) -> tuple[str, ...]:
    few = f"less than {TISSUE:.0%} of their square is brighter than {AIR} of 255"
    notes = [
        f"{len(controls)} controls at the places of {len(lesions)} lesions; {len(dropped)} more were dropped: {few}",
    ]
    if spread:
        notes.append(f"{spread} lesions have no place and are left out")
    if unreadable:
        notes.append(f"{len(unreadable)} normal images cannot be read and give no controls: {', '.join(unreadable)}")
    return tuple(notes)
