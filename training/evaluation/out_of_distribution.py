"""Measures the out-of-distribution check (``familiarity``) on test patients, other data sets and generated images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.images.discovery import look_into
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import Region
from edge_runtime.ood.detector import Familiarity, is_familiar
from edge_runtime.ood.network_features import NetworkFamiliarity
from training.artifact import Artifact
from training.data.datasets import Dataset, Sample
from training.data.drawn_images import DRAWN, Shape, drawn, inverted
from training.data.samples import SampleReader
from training.data.splits import Part, select, usable
from training.data.tensors import load_tensors
from training.errors import DatasetError
from training.evaluation.familiarity import fit_familiarity, once_each, see
from training.evaluation.feature_extractor import FeatureExtractor
from training.evaluation.marked_image import MarkedImage
from training.evaluation.network_familiarity import fit_check_of_network
from training.networks.keras_model import load_model
from training.policy.cases import exact
from training.recipes import find_recipe

OWN = "own test images"
OWN_VALIDATION = "own validation images"
"""In place of test images, for a model whose figures are cross-validated."""
CUT = "own regions, cut out"
"""For a check of whole images: the squares of its own regions, given as if they were whole images."""
REGION_RADIUS_PX = 40.0
"""Radius of the region in the middle of an image from another data set, about that of a typical lesion."""

Item = TypeVar("Item")
Shares = Callable[[Iterable[MarkedImage | None]], list[float | None]]
"""Returns each image's distance divided by the limit; None for an image that the runtime rejects."""


@dataclass(frozen=True)
class ReferredShare:
    """Share of images of one kind that the check refers.

    Attributes:
        own: whether the images are in-distribution, so that none should be referred. All others should be referred.
        images: images that the check was applied to.
        unreadable: images that the runtime rejects, for example as too small; not counted in ``images``.
        low, high: exact 95 % interval of the share referred, for independent images (Clopper & Pearson 1934).
    """

    kind: str
    own: bool
    images: int
    referred: int
    unreadable: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Share referred, 0..1; nan where the runtime rejects every image."""
        return self.referred / self.images if self.images else float("nan")


@dataclass(frozen=True)
class FamiliarityTable:
    """The table that ``python -m training familiarity`` prints.

    Attributes:
        limit: Mahalanobis distance beyond which an image is referred.
        fitted_here: the spec contains no check; one was fitted for this table and was not saved.
    """

    model: str
    version: str
    limit: float
    fitted_here: bool
    rows: tuple[ReferredShare, ...]


def measure_familiarity(
    artifact: Artifact, data: Path, others: Sequence[Path], *, share: float, most: int, seed: int = 0
) -> FamiliarityTable:
    """Count the images that the check refers, by kind.

    Args:
        data: folder with the published layout, on which the artifact was fitted.
        others: folders of out-of-distribution images; lesion masks (``…_mask….png``) are skipped.
        share: tolerated share of in-distribution images referred, used where the spec has no check and one is fitted.
        most: largest number of images of each kind, evenly spaced; of the model's test images all are used.
        seed: of the generated images.

    Raises:
        ArtifactError: the artifact is incomplete.
        DatasetError: the data do not match the layout, or a folder contains no image.
    """
    spec, dataset = artifact.spec(), find_recipe(artifact.spec().name).source.load(data)
    parts = _parts(artifact, dataset)
    limit, known = _check(artifact, dataset, parts, share)
    films = spec.image_check is not None and spec.image_check.whole is not None
    held_out = parts[Part.TEST] or parts[Part.VALIDATION]  # a model with cross-validated figures has no test part
    samples = once_each(held_out) if films else held_out
    rows = [_count(OWN if parts[Part.TEST] else OWN_VALIDATION, _own(samples, spec), known, own=True)]
    some = _spaced(samples, most)
    rows += [_count(_name(folder), _below(folder, most, spec), known) for folder in others]
    if _has_whole(spec):
        rows.append(_count(CUT, _cut_out(_spaced(held_out, most), spec), known))
    rows.append(_count("own, inverted", (one and _inverted(one) for one in _own(some, spec)), known))
    whole = _has_whole(spec)
    shapes: list[Shape] = [
        (one.whole if whole else one.shown(spec)).pixels.shape for one in _own(some, spec) if one is not None
    ]
    rows += [_count(kind, (_marked(p, spec) for p in drawn(kind, shapes, most, seed)), known) for kind in DRAWN]
    return FamiliarityTable(spec.name, spec.version, limit, spec.familiarity is None, tuple(rows))


def _has_whole(spec: ModelSpec) -> bool:
    """Return whether the check of a region model uses the whole image, too."""
    image, network = spec.image_check, spec.network_check
    stated = (image is not None and image.whole is not None) or (network is not None and network.image is not None)
    return stated and spec.region is not None


def _check(
    artifact: Artifact, dataset: Dataset, parts: dict[Part, tuple[Sample, ...]], share: float
) -> tuple[float, Shares]:
    """Return the limit and the function that applies the check: that of the spec, or one that is fitted now."""
    spec = artifact.spec()
    known, layer = spec.familiarity, find_recipe(spec.name).familiar
    if known is None and layer is None:
        known = fit_familiarity(see((*parts[Part.TRAIN], *parts[Part.VALIDATION]), spec), share).familiarity
    if known is None and layer is not None:
        network = load_model(artifact.model_path)
        train, validation = (load_tensors(parts[p], spec, label=p.value) for p in (Part.TRAIN, Part.VALIDATION))
        known = fit_check_of_network(network, layer, spec, train, validation, share, dataset.traits).familiarity
    if isinstance(known, NetworkFamiliarity):
        extractor = FeatureExtractor(load_model(artifact.model_path), known.layer, spec.steps)
        return known.limit, partial(extractor.shares, known=known, spec=spec)
    if known is None:
        raise TypeError(f"{spec.name}: no out-of-distribution check was fitted")
    return known.limit, partial(_image_shares, known, spec)


def _image_shares(known: Familiarity, spec: ModelSpec, images: Iterable[MarkedImage | None]) -> list[float | None]:
    return [None if one is None else _image_share(known, spec, one) for one in images]


def _image_share(known: Familiarity, spec: ModelSpec, image: MarkedImage) -> float | None:
    try:
        return known.share(image.whole if known.whole is not None else image.shown(spec))
    except ImageError:
        return None


def _parts(artifact: Artifact, dataset: Dataset) -> dict[Part, tuple[Sample, ...]]:
    """Return the images of each part that the fit used."""
    split = artifact.split()
    return {part: usable(select(dataset.samples, split, part), part, dataset.contradicted) for part in Part}


def _own(samples: Sequence[Sample], spec: ModelSpec) -> Iterator[MarkedImage | None]:
    """Yield images with their regions; None where the runtime rejects one."""
    images = SampleReader(spec)
    for sample in samples:
        try:
            images.read(sample)
            yield MarkedImage(images.whole(sample), sample.region)
        except ImageError:
            yield None


def _cut_out(samples: Sequence[Sample], spec: ModelSpec) -> Iterator[MarkedImage | None]:
    """Yield the squares of regions as if they were whole images, with a region in their middle."""
    return (one and _marked(one.shown(spec), spec) for one in _own(samples, spec))


def _inverted(image: MarkedImage) -> MarkedImage:
    return MarkedImage(inverted(image.whole), image.region)


def _below(folder: Path, most: int, spec: ModelSpec) -> Iterator[MarkedImage | None]:
    found = (Path(image.path) for image in look_into(folder).images)
    paths = [path for path in found if "_mask" not in path.stem]
    if not paths:
        raise DatasetError(
            f"{folder}: found no image, expected files whose content is an image. Give a folder of images."
        )
    for path in _spaced(paths, most):
        try:
            yield _marked(read(path, min_side_px=spec.min_side_px), spec)
        except ImageError:
            yield None


def _marked(image: DecodedImage, spec: ModelSpec) -> MarkedImage:
    """Return the image; for a model of regions, with a region in its middle."""
    if spec.region is None:
        return MarkedImage(image)
    height, width = image.pixels.shape[:2]
    radius = min(REGION_RADIUS_PX, min(height, width) / 2)
    return MarkedImage(image, Region((width - 1) / 2, (height - 1) / 2, radius))


def _spaced(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most ``most`` items, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def _count(kind: str, images: Iterable[MarkedImage | None], known: Shares, *, own: bool = False) -> ReferredShare:
    found = [None if share is None else not is_familiar(share) for share in known(images)]
    answers = [referred for referred in found if referred is not None]
    if not answers:
        return ReferredShare(kind, own, 0, 0, len(found), 0.0, 1.0)
    figure = exact(kind, sum(answers), len(answers))
    low, high = figure.low or 0.0, 1.0 if figure.high is None else figure.high
    return ReferredShare(kind, own, len(answers), sum(answers), len(found) - len(answers), low, high)


def _name(folder: Path) -> str:
    return f"images in {folder.name}"
