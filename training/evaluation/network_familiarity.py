"""Fits the out-of-distribution check on an early feature map of the network (``familiarity`` in JSON).

Mean, scale and principal components come from the training images; the limit comes from the validation images, because
new images lie farther than those that were fitted on. Every patient has equal weight in the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.ood.image_limits import ImageLimits, dark_share
from edge_runtime.ood.input_statistics import of_tensors
from edge_runtime.ood.network_features import (
    FEATURES,
    MOST_COMPONENTS,
    InputStatistic,
    NetworkFamiliarity,
    features,
    packed_components,
)
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Step
from edge_runtime.serialisation.records import to_dict
from training.data.datasets import Sample, Traits
from training.data.datasets.dataset import SITE
from training.data.samples import SampleReader
from training.data.tensors import Tensors
from training.errors import DatasetError, RecipeError
from training.evaluation.familiarity import FittedFamiliarity, weighted_limit
from training.evaluation.marked_image import MarkedImage
from training.recipes.recipe import FamiliarLayer, ImageLimit

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float64]

IMAGES_PER_COMPONENT = 5
"""Smallest number of training images for each principal component."""

LEAST = 50
"""Smallest number of training images."""

_BATCH = 32
_DIGITS = 6
_LIMIT_DIGITS = 4
FLOOR = 1.0
"""Standard deviation added to every feature, as a multiple of the median one. Otherwise channels that hardly vary would
dominate the distance: int8 rounding alone changes it by up to four times the limit (busi-compact, third block)."""

LEAST_DARK = 0.5
"""Smallest share of dark pixels among dark and bright ones: of an image and its negative, one has more."""

INPUT_FLOOR = 0.01
"""Standard deviation added to every statistic of the input, whose range is about -1..1: as for image statistics."""

INPUT_WEIGHT = 3.0
"""Scaled spread of a statistic of the input, as a multiple of a feature's usual one. Otherwise a statistic that images
of other kinds change most would be in no principal component."""


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Features of N images.

    Attributes:
        values: float64 N×(2C + S), from :func:`edge_runtime.ood.network_features.features`, and S statistics of the
            input.
        groups: N patient ids.
        sites: N names of the sites that made the images; None if there is one site, or if they are not known.
    """

    values: Floats
    groups: npt.NDArray[np.str_]
    sites: npt.NDArray[np.str_] | None = None


class FeatureExtractor:
    """The network up to one feature map, which computes the features of images."""

    def __init__(
        self, network: keras.Model, layer: str, inputs: Sequence[InputStatistic], steps: tuple[Step, ...]
    ) -> None:
        """Cut the network at the layer.

        Args:
            layer: name of the layer.
            inputs: statistics of the input, which follow the features of the layer.
            steps: the steps of the spec.

        Raises:
            RecipeError: the network has no such layer, or its output is not a map H×W×C.
        """
        self._moments, self._inputs, self._steps = moments_model(network, layer), tuple(inputs), steps

    def of_tensors(self, tensors: npt.NDArray[np.float32]) -> Floats:
        """Return the features of preprocessed images, float32 N×H×W×C to float64 N×(2C + S)."""
        batches = (tensors[i : i + _BATCH] for i in range(0, len(tensors), _BATCH))
        found = features(np.concatenate([np.asarray(self._moments.predict_on_batch(batch)) for batch in batches]))
        if not self._inputs:
            return found
        return np.concatenate([found, of_tensors(tensors, self._inputs, self._steps)], axis=1)

    def see(self, tensors: Tensors, traits: Mapping[str, Traits] | None = None) -> ImageFeatures:
        """Return the features of a part of a data set; the sites are the trait ``site``, if all images have it."""
        sites = [dict((traits or {}).get(sample.name, ())).get(SITE) for sample in tensors.samples]
        known = [site for site in sites if site is not None]
        places = np.array(known) if len(known) == len(sites) else None
        return ImageFeatures(self.of_tensors(tensors.images), tensors.groups, places)

    def shares(
        self, images: Iterable[MarkedImage | None], known: NetworkFamiliarity, spec: ModelSpec
    ) -> list[float | None]:
        """Return each image's share, as a prediction has it; None where the runtime rejects the image."""
        found: list[float | None] = []
        ready: list[_Ready | None] = []
        for image in images:
            try:
                ready.append(None if image is None else _Ready.of(image, known, spec))
            except ImageError:
                ready.append(None)
            if len(ready) == _BATCH:
                found += self._shares(ready, known)
                ready = []
        return found + self._shares(ready, known)

    def _shares(self, ready: Sequence[_Ready | None], known: NetworkFamiliarity) -> list[float | None]:
        each = [one for one in ready if one is not None]
        if not each:
            return [None] * len(ready)
        distances = known.distances(self.of_tensors(np.stack([one.tensor for one in each])))
        shares = iter([max(d / known.limit, one.excess) for d, one in zip(distances.tolist(), each, strict=True)])
        return [None if one is None else next(shares) for one in ready]


class _Ready(NamedTuple):
    """A preprocessed image, and its excess over the limits of the image; 0 if it is within them or there are none."""

    tensor: npt.NDArray[np.float32]
    excess: float

    @classmethod
    def of(cls, image: MarkedImage, known: NetworkFamiliarity, spec: ModelSpec) -> _Ready:
        shown = image.shown(spec)
        return cls(preprocess(shown, spec.steps), known.image_share(image.whole, shown) or 0.0)


def fit_limits(samples: Sequence[Sample], wanted: Sequence[ImageLimit], spec: ModelSpec) -> ImageLimits | None:
    """Return the limits of the image as read, from the model's own images; None if none is wanted.

    A side may be half the shortest, or half longer than the longest. Of dark and bright pixels, at least half must be
    dark: a negative has the reverse share. Images that the runtime rejects are left out.

    Raises:
        DatasetError: an own image has too few dark pixels for such a limit.
    """
    if not wanted:
        return None
    least, most, dark = 65535, 1, 1.0
    images = SampleReader(spec)
    for sample in samples:
        try:
            image = images.whole(sample)
        except ImageError:
            continue
        height, width = image.pixels.shape[:2]
        least, most = min(least, height, width), max(most, height, width)
        if ImageLimit.LEAST_DARK in wanted:
            dark = min(dark, dark_share(image))
    if dark <= LEAST_DARK:
        raise DatasetError(
            f"familiarity: found an own image with a dark share of {dark:.3g}, expected more than {LEAST_DARK}. Leave "
            "the limit least_dark out of the recipe."
        )
    return ImageLimits(
        least_side_px=max(1, least // 2) if ImageLimit.LEAST_SIDE in wanted else None,
        most_side_px=most * 3 // 2 if ImageLimit.MOST_SIDE in wanted else None,
        least_dark=LEAST_DARK if ImageLimit.LEAST_DARK in wanted else None,
    )


def moments_model(network: keras.Model, layer: str) -> keras.Model:
    """Return a model whose output is each channel's mean and mean of squares over a layer's map, N×2C.

    Raises:
        RecipeError: as :class:`FeatureExtractor`.
    """
    import keras

    found = next((each for each in network.layers if each.name == layer), None)
    if found is None or len(found.output.shape) != 4:
        maps = [each.name for each in network.layers if len(getattr(each.output, "shape", ())) == 4]
        raise RecipeError(
            f"layer {layer!r}: found no such feature map in the network, expected one of {', '.join(maps[:20])}. "
            "Correct the recipe's familiar layer."
        )
    values = found.output
    moments = [keras.ops.mean(each, axis=(1, 2)) for each in (values, keras.ops.square(values))]
    return keras.Model(network.inputs, keras.ops.concatenate(moments, axis=-1))


def fit_network_familiarity(
    train: ImageFeatures,
    validation: ImageFeatures,
    layer: FamiliarLayer,
    share: float,
    limits: ImageLimits | None = None,
) -> FittedFamiliarity:
    """Fit the check on training images, and its limit on validation images.

    Args:
        train: features of training images.
        validation: features of validation images, of other patients.
        layer: the feature map.
        share: tolerated share (0..1, ends excluded) of a new patient's images beyond the limit.
        limits: limits of the image as read, from :func:`fit_limits`.

    With ``layer.site_share``, each site is left out of the fit once; the limit is the largest that this requires.

    Raises:
        DatasetError: too few images, or ``layer.site_share`` without at least two sites.
        ValueError: ``share`` is out of its range.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"familiarity: found share {share}, expected a number between 0 and 1, ends excluded.")
    if len(train.groups) < LEAST or not len(validation.groups):
        raise DatasetError(
            f"familiarity: found {len(train.groups)} training and {len(validation.groups)} validation images, expected "
            f"at least {LEAST} and 1. Leave --familiar out, or give more data."
        )
    known = _model(train.values, layer)
    limit = weighted_limit(known.distances(validation.values), validation.groups, share)
    if layer.site_share is not None:
        limit = max(limit, _site_limit(train, validation, layer, layer.site_share))
    known = replace(known, limit=_rounded(limit, _LIMIT_DIGITS, up=True), image=limits)
    more = "".join(f", {name.value}" for name in layer.inputs)
    patients = [len(np.unique(part.groups)) for part in (train, validation)]
    basis = (
        f"Familiarity: images farther than {known.limit:g} (distance of features of layer {layer.name}{more}, "
        f"{FEATURES}, on {len(known.deviations)} components) from the model's own are referred. Fitted on "
        f"{len(train.groups)} training images of {patients[0]} patients; {share:g} of a validation patient's images "
        f"lie farther on average ({len(validation.groups)} images of {patients[1]} patients)."
    )
    if layer.site_share is not None:
        basis += (
            f" The limit was raised until at most {layer.site_share:g} of the images of a left-out site lie farther."
        )
    if limits is not None:
        stated = ", ".join(f"{name} {value:g}" for name, value in to_dict(limits).items())
        basis += f" Images beyond {stated} are referred, too."
    return FittedFamiliarity(known, basis)


def _site_limit(train: ImageFeatures, validation: ImageFeatures, layer: FamiliarLayer, share: float) -> float:
    """Return the limit beyond which at most ``share`` of each site's images lie if the site is left out of the fit."""
    sites = np.unique(train.sites) if train.sites is not None else np.zeros(0, np.str_)
    if len(sites) < 2 or validation.sites is None:
        raise DatasetError(
            f"familiarity: found {len(sites)} sites, expected two or more for a share of left-out sites. Leave it out."
        )
    needed = [0.0]
    for site in sites.tolist():
        known = _model(train.values[train.sites != site], layer)
        for part in (train, validation):
            own = part.sites == site
            if own.any():
                needed.append(weighted_limit(known.distances(part.values[own]), part.groups[own], share))
    return max(needed)


def _model(values: Floats, layer: FamiliarLayer) -> NetworkFamiliarity:
    """Return the check with a limit of 1; all numbers are those that JSON contains."""
    mean = np.array([_rounded(value) for value in values.mean(axis=0).tolist()])
    spread = values.std(axis=0)
    scale = np.ones(len(mean))
    count = len(mean) - len(layer.inputs)
    if layer.scaled:
        floor = max(FLOOR * float(np.median(spread[:count])), 1e-6)
        scale[:count] = np.hypot(spread[:count], floor)
    usual = float(np.sqrt(np.mean((spread[:count] / scale[:count]) ** 2)))
    scale[count:] = np.hypot(spread[count:], INPUT_FLOOR) / (INPUT_WEIGHT * max(usual, 1e-6))
    scale = np.array([_rounded(value) for value in scale.tolist()])
    apart = (values - mean) / scale
    count = max(1, min(MOST_COMPONENTS, len(values) // IMAGES_PER_COMPONENT, values.shape[1] - 1))
    _, singular, rows = np.linalg.svd(apart, full_matrices=False)
    largest = rows[np.arange(count), np.abs(rows[:count]).argmax(axis=1)]
    components = (rows[:count] * np.sign(largest)[:, np.newaxis]).astype(np.float16)  # signs do not depend on LAPACK
    deviations = np.maximum(singular[:count] / np.sqrt(len(values) - 1), singular[0] * 1e-6)
    rest = apart - (apart @ components.T.astype(np.float64)) @ components.astype(np.float64)
    residual = max(float(np.sqrt(np.einsum("nk,nk->n", rest, rest).mean())), float(singular[0]) * 1e-6)
    return NetworkFamiliarity(
        statistics=FEATURES,
        layer=layer.name,
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        components=packed_components(components),
        deviations=tuple(_rounded(value) for value in deviations.tolist()),
        residual=_rounded(residual),
        limit=1.0,
        inputs=layer.inputs or None,
    )


def _rounded(value: float, digits: int = _DIGITS, *, up: bool = False) -> float:
    """Round to significant digits, so that the JSON stays short."""
    rounded = float(f"{value:.{digits}g}")
    return rounded if not up or rounded >= value else float(f"{value * (1 + 10.0 ** (1 - digits)):.{digits}g}")
