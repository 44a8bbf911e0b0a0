"""Prepare heatmaps in a bundle and compare them with those of the network that is exported.

The float32 files get the last feature map as a second output; the matrices of the head go into ``saliency.npz``.
Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Format, MapParity, Precision
from edge_runtime.bundle.saliency import Method, Saliency
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import scores_of
from edge_runtime.explain.class_activation import FILE, attention, eigen_cam, from_npz, grad_cam, to_npz
from edge_runtime.explain.explanation import spread_share
from edge_runtime.inference.backends.registry import open_model
from edge_runtime.serialisation.records import from_json, to_dict
from export.conversion import ExportFolder, ParityImages
from export.converters.isolation import in_own_process
from export.errors import ConversionError
from export.source.foreign import onnx_heatmaps
from export.source.foreign.formats import KIND, formats_from
from export.source.foreign.network import reference_of
from export.source.keras_model import load_to_logits
from export.source.stored_tensors import StoredTensors, Tensors, batches, head, store
from export.validation.parity import RUNTIMES
from training.explain.method import choose, draw

_LOG = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]

IMAGES = 100
"""Number of images whose heatmaps are compared with TensorFlow's."""

_BATCH = 16

WORST = 1e-4
"""Largest allowed difference between two heatmaps, as a share of their range."""


@dataclass(frozen=True)
class HeatmapReference:
    """A network with its feature map as an output, and its heatmaps.

    Attributes:
        network: the network with outputs logits, feature map and, of a Keras model, hidden layers; the unchanged
            network if there is no feature map.
        saliency: the heatmap method.
        weights: content of ``saliency.npz``; None if the method needs none.
        maps: heatmaps of the first N parity images, float32 N×h×w.
        labels: label that each of these heatmaps explains, int64 N.
        golden: heatmaps of the golden images, float32 M×h×w.
    """

    network: Path
    saliency: Saliency
    weights: bytes | None
    maps: Floats
    labels: npt.NDArray[np.int64]
    golden: Floats


def examine(
    network: Path, spec: ModelSpec, judged: ParityImages, golden: ParityImages, work: ExportFolder
) -> HeatmapReference:
    """Choose the heatmap method for a network, and compute reference heatmaps.

    Of a Keras network TensorFlow computes them; of an ONNX file they follow from the feature map of the given graph.

    Args:
        network: network cut at its logits; a .keras or .onnx file has accessible layers and gets heatmaps.
        judged: the parity images, of which the first :data:`IMAGES` get a heatmap.
        golden: the golden images, which all get a heatmap.
    """
    if network.suffix not in _WRITE:
        source = "a SavedModel" if network.is_dir() else KIND[formats_from(network)[0]]
        return _without(network, f"it was exported from {source}, whose layers are out of reach")
    reference = reference_of(network)
    if reference is not None and reference.quantised:
        return _without(network, "it was exported from a quantised file, and heatmaps need float32")
    labels = scores_of(np.concatenate([judged.logits[:IMAGES], golden.logits]), spec).argmax(axis=1)
    paths = {name: work.scratch / f"explained{ending or network.suffix}" for name, ending in _FILES.items()}
    labels_path = work.scratch / "explained-labels.npy"
    np.save(labels_path, labels)
    rows = chain(head(judged.tensors, IMAGES), golden.tensors)
    images = str(store(rows, golden.tensors.shape[1:], work.scratch / "explained-images.npy").path)
    try:
        job = _WRITE[network.suffix]
        in_own_process(job, str(network), images, str(labels_path), spec, *map(str, paths.values()))
    except ConversionError as error:
        _LOG.warning("%s; the bundle has no heatmaps", error)
        return _without(network, "they cannot be computed for this network")
    saliency = from_json(Saliency, paths["record"].read_bytes(), "saliency")
    weights = paths["weights"].read_bytes() if saliency.method is Method.GRAD_CAM else None
    found = network if saliency.method is Method.NONE else paths["network"]
    maps, count = np.load(paths["maps"]), min(IMAGES, len(judged.tensors))
    return HeatmapReference(found, saliency, weights, maps[:count], labels[:count], maps[count:])


def _without(network: Path, why: str) -> HeatmapReference:
    none = np.zeros((0, 0, 0), np.float32)
    return HeatmapReference(network, Saliency(Method.NONE, why), None, none, np.zeros(0, np.int64), none)


_FILES = {"network": "", "record": ".json", "weights": ".npz", "maps": ".npy"}


def write_explained(
    network: str, tensors: str, labels: str, spec: ModelSpec, out: str, record: str, weights: str, maps: str
) -> None:
    """Write the fields of :class:`HeatmapReference`, each to its own file."""
    model, images = load_to_logits(network), StoredTensors(tensors)
    found = choose(model)
    drawn = np.zeros((len(images), 0, 0), np.float32)
    if found.saliency.method is not Method.NONE:
        explain = np.array_split(np.load(labels), range(_BATCH, len(images), _BATCH))
        pairs = zip(batches(images, _BATCH), explain, strict=True)
        drawn = np.concatenate([draw(found, model, some, label, spec.head) for some, label in pairs])
        _with_outputs(model, (found.features, *found.hidden)).save(out)
    if found.weights:
        Path(weights).write_bytes(to_npz(found.weights))
    np.save(maps, drawn)
    Path(record).write_text(json.dumps(to_dict(found.saliency)), encoding="utf-8")


_WRITE = {".keras": write_explained, ".onnx": onnx_heatmaps.write_explained}
"""Kind of network → function that writes its heatmap reference."""


def _with_outputs(model: Any, more: tuple[Any, ...]) -> Any:
    import keras

    return keras.Model(model.inputs[0], [model.outputs[0], *more])


def prove(
    explained: HeatmapReference, spec: ModelSpec, tensors: Tensors, work: ExportFolder
) -> tuple[Saliency, tuple[MapParity, ...] | None]:
    """Write ``saliency.npz`` to the bundle and compare the float32 files' heatmaps with the network's.

    If they differ by more than :data:`WORST`, the bundle has no heatmaps, and the returned record gives the reason.

    Args:
        tensors: the parity images, float32 N×H×W×C.
    """
    saliency = explained.saliency
    if saliency.method is Method.NONE:
        return saliency, None
    weights = () if explained.weights is None else from_npz(explained.weights, FILE)
    rows = tuple(
        _compare(path, form, explained, weights, spec, tensors)
        for form, precision, path in work.written()
        if precision is Precision.FLOAT32
    )
    worst = max(row.worst for row in rows)
    if not worst <= WORST:
        theirs = "TensorFlow's" if explained.network.suffix == ".keras" else "the given file's"
        why = f"its maps differ from {theirs} by up to {worst:.2g} of their range, more than {WORST:g}"
        return replace(saliency, method=Method.NONE, why=why), rows
    if explained.weights is not None:
        (work.bundle / FILE).write_bytes(explained.weights)
    return saliency, rows


def _compare(
    path: Path,
    form: Format,
    explained: HeatmapReference,
    weights: tuple[Floats, ...],
    spec: ModelSpec,
    tensors: Tensors,
) -> MapParity:
    backend = open_model(path.read_bytes(), RUNTIMES[form])
    try:
        given = [backend.outputs(tensor[np.newaxis]) for tensor in head(tensors, len(explained.maps))]
    finally:
        backend.close()
    classless = attention if explained.saliency.method is Method.ATTENTION else eigen_cam
    ours = [
        grad_cam(features, tuple(hidden), weights, int(label), spec.head) if weights else classless(features)
        for (_, features, *hidden), label in zip(given, explained.labels, strict=True)
    ]
    shares = [spread_share(a, b) for a, b in zip(ours, explained.maps, strict=True)]
    blank = sum(not (a.any() or b.any()) for a, b in zip(ours, explained.maps, strict=True))
    return MapParity(path.name, RUNTIMES[form].value, len(ours), float(f"{max(shares):.3g}"), blank)
