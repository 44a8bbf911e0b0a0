"""Measures whether heatmaps show lesions, on held-out images with marked lesions, and compares them with baselines.

The maps are Grad-CAM of the Keras model. Those of the device agree within 0.0001 of the range; the manifest of a
bundle contains the difference. The sanity checks are those of Adebayo et al. 2018 (NeurIPS). A map that does not
change when the weights are replaced by random ones shows the image, not what the network learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.metrics import Localisation
from edge_runtime.bundle.saliency import Method
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import scores_of
from edge_runtime.errors import ImageError
from edge_runtime.explain.explanation import placed
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.images.region import cut
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import covered
from training.artifact import Artifact
from training.data.datasets import Sample
from training.data.datasets.lesions import Lesions
from training.data.samples import SampleReader
from training.data.splits import Part, select
from training.errors import ArtifactError, DatasetError
from training.explain.method import choose, draw, moved
from training.explain.pointing import brightest, centre, darkest, energy, hit, likeness
from training.metrics.evaluation import bootstrap
from training.networks.keras_model import load_model, logits_model
from training.recipes import find_recipe

Floats = npt.NDArray[np.float32]
Column = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MarkedLesion:
    """An image as the network receives it, and the mask of its lesion (bool H×W of the same pixels)."""

    image: DecodedImage
    lesion: npt.NDArray[np.bool_]
    label: int
    group: str


def localise(artifact: Artifact, data: Path, part: Part) -> Localisation:
    """Measure the heatmaps of an artifact on the images of a part that have a marked lesion.

    Raises:
        ArtifactError: the artifact is incomplete, or its network allows no heatmap.
        DatasetError: the data set has no marked lesions, or none in this part.
    """
    spec = artifact.spec()
    source = find_recipe(spec.name).source
    if source.lesions is None:
        raise DatasetError(
            f"{source.title}: found no marked lesions in it, expected masks or circles. Use another model."
        )
    dataset = source.load(data)
    marked = tuple(_marked(select(dataset.samples, artifact.split(), part), source.lesions, spec))
    if not marked:
        raise DatasetError(f"{data}: found no {part.value} image with a marked lesion. Choose another --part.")
    tensors = np.stack([preprocess(each.image, spec.steps) for each in marked])
    network = logits_model(load_model(artifact.model_path))
    chosen = choose(network)
    if chosen.saliency.method is Method.NONE:
        raise ArtifactError(f"{spec.name}: no heatmap can be made: {chosen.saliency.why}.")
    maps = partial(draw, tensors=tensors, head=spec.head)
    answered = scores_of(network.predict(tensors, verbose=0), spec).argmax(axis=1)
    truth = np.array([each.label for each in marked], dtype=np.int64)
    shown, of_truth = maps(chosen, network, labels=answered), maps(chosen, network, labels=truth)
    columns = _columns(marked, spec, shown, of_truth) | {
        f"likeness to the map of {name}": _likenesses(shown, maps(moved(chosen, other), other, labels=answered))
        for name, other in (
            ("a random head", _randomised(network, head=True)),
            ("random weights", _randomised(network)),
        )
    }
    groups = np.array([each.group for each in marked])
    figures = bootstrap(lambda rows: _means(columns, rows), groups)
    return Localisation(part.value, chosen.saliency.method.value, len(marked), len(set(groups)), tuple(figures))


def _marked(samples: Sequence[Sample], lesions: Lesions, spec: ModelSpec) -> Iterator[MarkedLesion]:
    """Yield the images that have a marked lesion and that the runtime accepts; image and mask are cut alike."""
    images = SampleReader(spec)
    for sample in samples:
        lesion = lesions(sample)
        if lesion is None:
            continue
        try:
            image = images.read(sample)
        except ImageError:
            continue
        whole = DecodedImage(sample.name, lesion.astype(np.uint8), ColourOrder.GREY)
        rule = spec.region and replace(spec.region, least_range=None)  # a mask has no range of tissue
        seen = cut(whole, sample.region, rule).pixels.astype(bool)
        if seen.shape != image.pixels.shape[:2]:
            found, expected = seen.shape, image.pixels.shape[:2]
            raise DatasetError(f"{sample.name}: found a lesion mask of {found}, expected {expected}. Unpack it again.")
        yield MarkedLesion(image, seen, sample.label, sample.group)


def _columns(marked: Sequence[MarkedLesion], spec: ModelSpec, shown: Floats, of_truth: Floats) -> dict[str, Column]:
    """Return name → values, float64 N, one for each image."""
    rows = []
    for each, answer, true in zip(marked, shown, of_truth, strict=True):
        height, width = each.lesion.shape
        pixels = np.asarray(each.image.pixels, dtype=np.uint8)
        box = covered(spec.steps, width, height)
        maps = [np.nan_to_num(placed(grid, box, width, height)) for grid in (answer, true)]  # 0 beyond the input
        others = [centre((height, width)), brightest(pixels), darkest(pixels)]
        hits = [float(hit(found, each.lesion)) for found in (*maps, *others)]
        rows.append([*hits, *(energy(found, each.lesion) for found in maps), float(each.lesion.mean())])
    found = np.array(rows, dtype=np.float64)
    columns: dict[str, Column] = {name: found[:, i] for i, name in enumerate((*_HITS, *_ENERGY))}
    gains: dict[str, Column] = {
        f"gain over {name.removeprefix('hits of ')}": columns[_HITS[0]] - columns[name] for name in _HITS[2:]
    }
    blank = np.asarray(~shown.any(axis=(1, 2)), dtype=np.float64)
    return columns | gains | {"blank maps": blank}


_HITS = tuple(
    f"hits of {name}"
    for name in ("the answer's map", "the true label's map", "the centre", "the brightest place", "the darkest place")
)
_ENERGY = tuple(f"energy of {name}" for name in ("the answer's map", "the true label's map", "an even map"))


def _means(columns: dict[str, Column], rows: npt.NDArray[np.intp]) -> dict[str, float]:
    """Return the mean of each column over the rows where it is defined; nan where it is defined in none."""
    means = {}
    for name, values in columns.items():
        defined = values[rows][np.isfinite(values[rows])]
        means[name] = float(defined.mean()) if len(defined) else float("nan")
    return means


def _likenesses(one: Floats, other: Floats) -> Column:
    return np.array([likeness(a, b) for a, b in zip(one, other, strict=True)])


def _randomised(network: Any, *, head: bool = False) -> Any:
    """Return a copy with random weights from the layers' initialisers; with ``head``, only in the last layer."""
    import keras

    keras.utils.set_random_seed(0)
    copy = keras.models.clone_model(network)
    if head:
        last = copy.layers[-1].name
        for layer in copy.layers:
            if layer.name != last:
                layer.set_weights(network.get_layer(layer.name).get_weights())
    return copy


def keep(artifact: Artifact, found: Localisation) -> None:
    """Write the figures into the artifact's ``metrics.json``; bundles and model cards copy them from there."""
    measured = artifact.measured()
    others = tuple(each for each in measured.localisations or () if each.part != found.part)
    artifact.write_measured(replace(measured, localisations=(*others, found)))
