"""The network up to one feature map: computes the features of images for the out-of-distribution check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ImageError
from edge_runtime.images.reader import DecodedImage
from edge_runtime.ood.network_features import NetworkFamiliarity, features
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Step
from training.data.alterations import ALTER, MOSAIC, Alter, Alteration, accepted, mosaic_of
from training.data.datasets import Sample, Traits
from training.data.datasets.dataset import SITE
from training.data.samples import SampleReader
from training.data.tensors import Tensors
from training.errors import DatasetError, RecipeError
from training.evaluation.discriminants import AlteredFeatures
from training.evaluation.marked_image import MarkedImage

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float64]
T = TypeVar("T")

_BATCH = 32


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Features of N images.

    Attributes:
        values: float64 N×2C, from :func:`edge_runtime.ood.network_features.features`.
        groups: N patient ids.
        sites: N names of the sites that made the images; None if there is one site, or if they are not known.
    """

    values: Floats
    groups: npt.NDArray[np.str_]
    sites: npt.NDArray[np.str_] | None = None

    def take(self, rows: npt.NDArray[np.bool_]) -> ImageFeatures:
        """Return the images where ``rows``, bool N, is true."""
        return ImageFeatures(self.values[rows], self.groups[rows], None if self.sites is None else self.sites[rows])


class FeatureExtractor:
    """The network up to one feature map, which computes the features of images."""

    def __init__(self, network: keras.Model, layer: str, steps: tuple[Step, ...]) -> None:
        """Cut the network at the layer.

        Args:
            layer: name of the layer.
            steps: the steps of the spec.

        Raises:
            RecipeError: the network has no such layer, or its output is not a map H×W×C.
        """
        self._moments, self._steps = moments_model(network, layer), steps

    def of_tensors(self, tensors: npt.NDArray[np.float32]) -> Floats:
        """Return the features of preprocessed images, float32 N×H×W×C to float64 N×2C."""
        batches = (tensors[i : i + _BATCH] for i in range(0, len(tensors), _BATCH))
        return features(np.concatenate([np.asarray(self._moments.predict_on_batch(batch)) for batch in batches]))

    def of_images(self, images: Iterable[DecodedImage]) -> Floats:
        """Return the features of images as the model receives them, float64 N×2C; few of them are in memory."""
        tensors = (preprocess(image, self._steps) for image in images)
        return np.concatenate([self.of_tensors(np.stack(some)) for some in _batches(tensors)])

    def altered(self, samples: Sequence[Sample], alterations: Sequence[Alteration], spec: ModelSpec) -> AlteredFeatures:
        """Return the features of samples after each alteration of what the model sees of them.

        Args:
            samples: images that the runtime accepts.

        Raises:
            DatasetError: an image has not 8 bits per sample.
        """
        found = {
            each.value: self.of_images(_altered(samples, spec, ALTER[each], seed, whole=each is Alteration.REDUCED))
            for seed, each in enumerate(alterations, start=1)
        }
        return AlteredFeatures(self.of_images(_altered(samples, spec, accepted, 0)), found)

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
        ready = (_Ready.of(image, known, spec) for image in images)
        return [share for some in _batches(ready) for share in self._shares(some, known)]

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
    def of(cls, image: MarkedImage | None, known: NetworkFamiliarity, spec: ModelSpec) -> _Ready | None:
        """Return the image, preprocessed; None where there is none, or the runtime rejects it."""
        if image is None:
            return None
        try:
            shown = image.shown(spec)
            return cls(preprocess(shown, spec.steps), known.image_share(image.whole, shown) or 0.0)
        except ImageError:
            return None


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


def _altered(
    samples: Sequence[Sample], spec: ModelSpec, alter: Alter, seed: int, *, whole: bool = False
) -> Iterator[DecodedImage]:
    """Yield what the model sees of each sample, altered; with ``whole``, in a mosaic of images of the same patient."""
    rng, images = np.random.default_rng(seed), SampleReader(spec)
    groups = {group: [s for s in samples if s.group == group] for group in {s.group for s in samples}} if whole else {}
    for sample in samples:
        image = images.read(sample)
        pixels = _levels(image)
        if whole:
            others = rng.choice(np.array(groups[sample.group], object), MOSAIC**2 - 1)
            pixels = mosaic_of([pixels, *(_levels(images.read(each)) for each in others)])
        yield DecodedImage(image.name, alter(rng, pixels), image.order)


def _levels(image: DecodedImage) -> npt.NDArray[np.uint8]:
    if image.pixels.dtype != np.uint8:
        raise DatasetError(
            f"{image.name}: found {image.pixels.dtype} pixels, expected uint8: alterations are for 8-bit images. "
            "Leave alterations out of the recipe's familiar layer."
        )
    return np.asarray(image.pixels, np.uint8)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    found = iter(items)
    while some := list(islice(found, _BATCH)):
        yield some
