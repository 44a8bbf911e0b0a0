"""Load the Keras model, cut it at its logits, and compute the reference logits for parity.

Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from export.errors import ExportError
from export.source.batches import with_open_batch
from export.source.equivalents import with_equivalents
from export.source.first_activations import FirstActivations, first_activations
from export.source.first_layers import FirstLayers, first_layers
from export.source.heads import FinalActivation, cut
from export.source.outputs import output_names, with_output
from export.source.precision import check_precision, in_float32, other_types
from export.source.saved_models import load, load_as_saved
from export.source.spec_check import Network, check_end, check_shapes, complements
from export.source.stored_tensors import StoredTensors, Tensors, batches, store

Floats = npt.NDArray[np.float32]

AGREES = 1e-4
"""Largest allowed |Δ score| between the saved model and the network cut at its logits plus the activation."""

_BATCH = 32
_COMPARED = 8
"""Number of images in that comparison."""

_PROBED = 32
"""Number of images whose values after the first layers are examined."""


def load_to_logits(model_path: str) -> Any:
    """Load a model (.keras, .h5, SavedModel folder) and cut it at its logits where possible."""
    return cut(load(Path(model_path)))[0]


def load_with_size(path: Path, output: str | None, spec: ModelSpec, size: tuple[int, int]) -> Any:
    """Load a model that takes any size, cut at its logits, for images of ``size`` (height, width).

    Raises:
        ValueError: some layer cannot take that size.
    """
    import keras

    model = load(path) if output is None else with_output(load(path), output, str(path))
    whole = complements(_facts(path, model), spec)
    image = keras.Input((*size, spec.channels), name="image")
    network = keras.Model(image, cut(model)[0](image))
    return _with_complement(network) if whole else network


def save_sets(path: Path, sets: Sequence[Tensors]) -> str:
    """Save sets of tensors (float32 N×H×W×C each) one after another in one file, image by image; return the path."""
    store((tensor for tensors in sets for tensor in tensors), sets[0].shape[1:], path)
    return str(path)


def answers(network: Any, tensors: Tensors) -> Floats:
    """Return a Keras model's outputs for N tensors, float32 N×outputs, computed in batches."""
    found = (network.predict_on_batch(batch) for batch in batches(tensors, _BATCH))
    return np.concatenate([np.asarray(rows, dtype=np.float32) for rows in found])


def write_network(
    model_path: str,
    tensors_path: str,
    spec: ModelSpec,
    output: str | None,
    network_path: str,
    logits_path: str,
    refusal_path: str,
) -> None:
    """Check a model against its spec; save the network cut at its logits, and its logits.

    Args:
        tensors_path: preprocessed images to read, float32 N×H×W×C.
        output: name of the output to export; None for a network with one output.
        network_path: a .keras file or a SavedModel folder to write; what its first layers do is written beside it
            (:mod:`export.source.first_layers`, :mod:`export.source.first_activations`).
        logits_path: logits of the tensors to write, float32 N×outputs.
        refusal_path: error message, written instead of all other files if model and spec contradict each other.
    """
    from tensorflow.errors import OpError

    try:
        network, logits, facts = _network(Path(model_path), StoredTensors(tensors_path), spec, output)
    except ExportError as error:
        Path(refusal_path).write_text(str(error), encoding="utf-8")
        return
    except (ValueError, TypeError, AttributeError, NotImplementedError, OpError) as error:  # of a layer, in Keras
        width, height = spec.size_px
        Path(refusal_path).write_text(
            f"{model_path}: Keras fails on an image of {width}×{height} pixels: found {type(error).__name__} in "
            f"{_failed_layer(error)}, expected an answer. Correct the size in the spec, or the layer.",
            encoding="utf-8",
        )
        return
    if Path(network_path).suffix:
        network.save(network_path)
    else:
        network.export(network_path)
    np.save(Path(logits_path), logits)
    for fact in facts:
        fact.write(Path(network_path).parent)


def _network(
    path: Path, tensors: StoredTensors, spec: ModelSpec, output: str | None
) -> tuple[Any, Floats, tuple[FirstLayers, FirstActivations]]:
    """Return the network of ``path`` cut at its logits, in the form for converters, its logits and first layers."""
    saved = load_as_saved(path)
    if output is not None:
        saved = with_output(saved, output, str(path))
    saved = with_open_batch(saved)
    model = in_float32(saved)
    facts = _facts(path, model)
    check_shapes(facts, spec)
    scores = np.asarray(model(tensors[:_COMPARED], training=False))
    if model is not saved:
        before = np.asarray(saved(tensors[:_COMPARED], training=False)).astype(np.float32)
        check_precision(str(path), other_types(saved), before, scores)
    first = first_layers(model, spec)
    network, end = cut(model)
    network = with_equivalents(_with_fixed_size(network, spec))
    _check_cut(path, end, np.asarray(network(tensors[:_COMPARED], training=False)), scores)
    if complements(facts, spec):
        network = _with_complement(network)
    logits = answers(network, tensors)
    check_end(facts, end, spec, logits)
    return network, logits, (first, first_activations(network, tensors[:_PROBED]))


def _failed_layer(error: Exception) -> str:
    """Return the layer that an error of Keras names."""
    named = re.search(r"(?:calling|layer) \"?(\w+(?:\.call\(\))?)", str(error))
    return f"layer {named.group(1).removesuffix('.call()')}" if named else "one of its layers"


def _facts(path: Path, model: Any) -> Network:
    taken, given = model.inputs, model.outputs
    return Network(
        where=str(path),
        inputs=tuple(tensor.name for tensor in taken),
        outputs=output_names(model),
        taken=tuple(taken[0].shape),
        given=tuple(given[0].shape),
        dtype=str(taken[0].dtype),
    )


def _check_cut(path: Path, end: FinalActivation, logits: Floats, scores: Floats) -> None:
    """Apply the activation in numpy and compare. A layer that is used twice was cut in both places."""
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


def _with_fixed_size(network: Any, spec: ModelSpec) -> Any:
    """Return a network with a fixed input size; converters treat an open size as 1."""
    import keras

    if None not in network.inputs[0].shape[1:]:
        return network
    width, height = spec.size_px
    image = keras.Input((height, width, spec.channels), name="image")
    return keras.Model(image, network(image))


def _with_complement(network: Any) -> Any:
    """Return a network with outputs 1 - p and p, where ``network`` has output p."""
    import keras

    p = network.outputs[0]
    return keras.Model(network.inputs[0], keras.layers.Concatenate()([keras.ops.subtract(1.0, p), p]))
