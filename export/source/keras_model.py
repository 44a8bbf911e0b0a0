"""The Keras side: the network that is exported, and the logits that every file is held against.

Frameworks are imported inside functions: they belong into the child processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from export.errors import ExportError
from export.source.first_layers import FILE, FirstLayers, first_layers
from export.source.heads import FinalActivation, cut
from export.source.precision import check_precision, in_float32, other_types
from export.source.saved_models import load, load_as_saved
from export.source.spec_check import Network, check_end, check_shapes, complements

Floats = npt.NDArray[np.float32]

AGREES = 1e-4
"""Largest |Δ score| between the model as saved, and the network cut at its logits with the activation put back."""

_BATCH = 32
_COMPARED = 8
"""Images on which they are compared."""


def load_to_logits(model_path: str) -> Any:
    """Load a model (.keras, .h5, SavedModel folder) and cut it at its logits, if it has any that can be reached."""
    return cut(load(Path(model_path)))[0]


def save_sets(path: Path, sets: Sequence[Floats]) -> str:
    """Save sets of tensors, float32 N×H×W×C each, one behind the other without a copy in memory; return where."""
    rows = sum(map(len, sets))
    out = np.lib.format.open_memmap(path, "w+", np.float32, (rows, *sets[0].shape[1:]))
    start = 0
    for tensors in sets:
        out[start : start + len(tensors)] = tensors
        start += len(tensors)
    out.flush()
    return str(path)


def answers(network: Any, tensors: Floats) -> Floats:
    """Return what a Keras model gives for N tensors, float32 N×outputs; read in batches, since they may lie on disk."""
    batches = (tensors[start : start + _BATCH] for start in range(0, len(tensors), _BATCH))
    return np.concatenate([np.asarray(network.predict_on_batch(batch), dtype=np.float32) for batch in batches])


def write_network(
    model_path: str, tensors_path: str, spec: ModelSpec, network_path: str, logits_path: str, refusal_path: str
) -> None:
    """Check a model against its spec; save it cut at its logits, and its logits.

    Args:
        tensors_path: prepared images, float32 N×H×W×C.
        network_path: ends with .keras, or is a folder to write a SavedModel into; how the network begins is written
            beside it (:mod:`export.source.first_layers`).
        logits_path: float32 N×outputs of the tensors.
        refusal_path: is written instead of everything else if model and spec contradict each other: one sentence.
    """
    try:
        network, logits, first = _network(Path(model_path), np.load(tensors_path, mmap_mode="r"), spec)
    except ExportError as error:
        Path(refusal_path).write_text(str(error), encoding="utf-8")
        return
    if Path(network_path).suffix:
        network.save(network_path)
    else:
        network.export(network_path)
    np.save(Path(logits_path), logits)
    first.write(Path(network_path).with_name(FILE))


def _network(path: Path, tensors: Floats, spec: ModelSpec) -> tuple[Any, Floats, FirstLayers]:
    """Return the network of ``path`` cut at its logits, as the converters want it, its logits, and how it begins."""
    saved = load_as_saved(path)
    model = in_float32(saved)
    facts = _facts(path, model)
    check_shapes(facts, spec)
    scores = np.asarray(model(tensors[:_COMPARED], training=False))
    if model is not saved:
        before = np.asarray(saved(tensors[:_COMPARED], training=False)).astype(np.float32)
        check_precision(str(path), other_types(saved), before, scores)
    first = first_layers(model, spec)
    network, end = cut(model)
    _check_cut(path, end, np.asarray(network(tensors[:_COMPARED], training=False)), scores)
    network = _complemented(_sized(network, spec)) if complements(facts, spec) else _sized(network, spec)
    logits = answers(network, tensors)
    check_end(facts, end, spec, logits)
    return network, logits, first


def _facts(path: Path, model: Any) -> Network:
    taken, given = model.inputs, model.outputs
    return Network(
        where=str(path),
        inputs=tuple(tensor.name for tensor in taken),
        outputs=tuple(tensor.name for tensor in given),
        taken=tuple(taken[0].shape),
        given=tuple(given[0].shape),
        dtype=str(taken[0].dtype),
    )


def _check_cut(path: Path, end: FinalActivation, logits: Floats, scores: Floats) -> None:
    """Put the activation back in numpy and compare; a layer that is used twice was cut in both places."""
    if end is FinalActivation.SOFTMAX:
        exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
        logits = exp / exp.sum(axis=-1, keepdims=True)
    elif end is FinalActivation.SIGMOID:
        logits = np.exp(-np.logaddexp(np.float32(0), -logits))
    worst = float(np.abs(logits - scores).max())
    if worst > AGREES:
        raise ExportError(
            f"{path}: found scores that differ by {worst:.3g} after the final {end.value} was removed, expected "
            f"{AGREES:g} at most. Save the model again without that activation; its outputs are then taken as logits."
        )


def _sized(network: Any, spec: ModelSpec) -> Any:
    """Return a network that takes one size of images; converters take an open size for 1."""
    import keras

    if None not in network.inputs[0].shape[1:]:
        return network
    width, height = spec.size_px
    image = keras.Input((height, width, spec.channels), name="image")
    return keras.Model(image, network(image))


def _complemented(network: Any) -> Any:
    """Return a network that gives 1 - p and p where ``network`` gives p."""
    import keras

    p = network.outputs[0]
    return keras.Model(network.inputs[0], keras.layers.Concatenate()([keras.ops.subtract(1.0, p), p]))
