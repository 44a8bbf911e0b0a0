"""Copy a network fitted in half precision, as is usual on GPUs, to float32, in which devices compute.

Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from export.errors import ExportError

Floats = npt.NDArray[np.float32]

_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy")
_OTHERS = ("float16", "half", "bfloat16", "float64", "double", "mixed_float16", "mixed_bfloat16")
_NAMES = ("name", "registered_name", "keras_history")
"""Keys of user-chosen names, which may equal the name of a type."""

_MOST_APART = {"float16": 0.02, "bfloat16": 0.1, "float64": 1e-4}
"""Largest |Δ output|, relative to max(1, |output|), that rounding in a network of this type can cause. The significands
have 11, 8 and 53 bits, and errors grow from layer to layer."""


def other_types(model: Any) -> tuple[str, ...]:
    """Return, sorted, the types other than float32 in which layers of a Keras model compute or store weights.

    Raises:
        ExportError: Keras has quantised a layer, so its float weights no longer exist.
    """
    found = {str(model.inputs[0].dtype)} if str(model.inputs[0].dtype) in _OTHERS else set()
    for layer in model._flatten_layers():
        policy = layer.dtype_policy
        if getattr(policy, "quantization_mode", None):
            raise ExportError(
                f"{model.name}: found layer {layer.name} quantised by Keras ({policy.name}), expected weights in "
                "float32. Save the model before model.quantize is called; export quantises it."
            )
        found |= {str(dtype) for dtype in (policy.compute_dtype, policy.variable_dtype)} - {"float32"}
    found |= set(_named(model.get_config()))
    return tuple(sorted(found & set(_MOST_APART)))


def in_float32(model: Any) -> Any:
    """Return a Keras model that computes only in float32: the model itself, or a converted copy."""
    if not other_types(model):
        return model
    copy = type(model).from_config(_rewritten(model.get_config()))
    copy.set_weights(model.get_weights())
    return copy


def check_precision(where: str, types: tuple[str, ...], before: Floats, after: Floats) -> float:
    """Compare the outputs of a model and of its copy in float32; return the largest relative difference.

    Outputs that were not finite before are ignored: the largest float16 value is 65504.

    Raises:
        ExportError: the outputs differ by more than rounding can cause.
    """
    finite = np.isfinite(before)
    apart = np.abs(before.astype(np.float64) - after)[finite] / np.maximum(1.0, np.abs(after[finite]))
    worst, most = float(apart.max(initial=0.0)), max(_MOST_APART[name] for name in types)
    if not worst <= most:
        raise ExportError(
            f"{where}: found a network in {' and '.join(types)} whose outputs change by {worst:.3g} in float32, "
            f"expected {most:g} at most. Build it under keras.config.set_dtype_policy('float32'), load the weights, "
            "evaluate and export it."
        )
    return worst


def check_saved_model(where: str, graph: Any) -> None:
    """Reject a SavedModel that computes in half precision: its layers cannot be changed, and converters fail on it.

    Args:
        graph: graph of its signature, a ``tf.Graph``.

    Raises:
        ExportError: the graph contains float16 or bfloat16.
    """
    from tensorflow.core.framework import types_pb2

    half = {types_pb2.DT_HALF: "float16", types_pb2.DT_BFLOAT16: "bfloat16"}
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    found = {half[attr.type] for node in nodes for attr in node.attr.values() if attr.type in half}
    if found:
        raise ExportError(
            f"{where}: found a SavedModel that computes in {' and '.join(sorted(found))}, expected float32; its layers "
            "cannot be changed. Give the .keras or .h5 file, of which export makes a float32 copy."
        )


def _named(config: Any) -> list[str]:
    """Return the types that a configuration names in casts and calls."""
    found: list[str] = []
    _rewritten(config, found)
    return [name.removeprefix("mixed_").replace("half", "float16").replace("double", "float64") for name in found]


def _rewritten(value: Any, found: list[str] | None = None, *, typed: bool = False) -> Any:
    """Return a configuration with every other floating type replaced by float32; append the old types to ``found``.

    Args:
        typed: whether a string here is a type, as under ``dtype`` and in the arguments of calls.
    """
    if isinstance(value, dict):
        if value.get("class_name") in _POLICIES and isinstance(value.get("config"), dict):
            return value | {"config": _rewritten_policy(value["config"], found)}
        return {
            key: _rewritten(item, found, typed=key in ("dtype", "args") or (typed and key not in _NAMES))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_rewritten(item, found, typed=typed) for item in value)
    if typed and isinstance(value, str) and value in _OTHERS:
        if found is not None:
            found.append(value)
        return "float32"
    return value


def _rewritten_policy(config: dict[str, Any], found: list[str] | None) -> dict[str, Any]:
    return config | {"name": _rewritten(config.get("name"), found, typed=True)}
