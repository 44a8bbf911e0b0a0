"""Translate a network configuration from an .h5 file of Keras 2 to the form that Keras 3 reads.

The rules were found by loading files of Keras 2.15 with Keras 3.15 and comparing the scores.
"""

from __future__ import annotations

from typing import Any

_SEPARABLE = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
_DROPPED = {"DepthwiseConv2D": ("groups",), "Conv2DTranspose": ("groups",), "SeparableConv2D": _SEPARABLE}
"""Keys without effect on these layers, which Keras 3 rejects."""

_NETWORKS = ("Functional", "Model", "Sequential")


def translated(config: Any) -> Any:
    """Return the configuration of a network and of all its layers in the form of Keras 3; JSON values in and out."""
    if isinstance(config, list):
        return [translated(item) for item in config]
    if not isinstance(config, dict):
        return config
    read = {key: translated(value) for key, value in config.items()}
    if read.get("class_name") == "Policy" and isinstance(read.get("config"), dict):
        return read["config"].get("name")  # mixed-precision policy: Keras 3 reads its name
    if isinstance(read.get("config"), dict):
        read["config"] = _of_layer(read.get("class_name"), read["config"])
    return read


def _of_layer(kind: Any, config: dict[str, Any]) -> dict[str, Any]:
    if kind in _DROPPED:
        return _without(config, _DROPPED[kind])
    axis = config.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        return config | {"axis": axis[0]}  # Keras 2 writes a list with one axis
    if kind == "Sequential" and config.get("layers"):
        return config | {"layers": _with_one_input(config["layers"])}
    if kind in _NETWORKS and "output_layers" in config:
        return _of_graph(config)
    return config


def _with_one_input(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Remove the input shape from the layers after an InputLayer, which has it already."""
    if layers[0].get("class_name") != "InputLayer":
        return layers
    return [layers[0], *(layer | {"config": _without(layer["config"], ("batch_input_shape",))} for layer in layers[1:])]


def _of_graph(config: dict[str, Any]) -> dict[str, Any]:
    """Number the calls of nested networks from 0; Keras 2 counted their construction as the first call.

    A list of one input or output is replaced by its element. Otherwise a nested network takes and returns lists.
    """
    inner = {layer["config"]["name"] for layer in config["layers"] if layer.get("class_name") in _NETWORKS}
    ends = {key: _single(_recounted(config[key], inner)) for key in ("input_layers", "output_layers")}
    layers = [
        layer | {"inbound_nodes": _recounted(layer.get("inbound_nodes", []), inner)} for layer in config["layers"]
    ]
    return config | ends | {"layers": layers}


def _recounted(places: Any, inner: set[str]) -> Any:
    """Lower the call number in every reference (layer, call, tensor, …) to a nested network."""
    if isinstance(places, dict):
        return {key: _recounted(value, inner) for key, value in places.items()}
    if not isinstance(places, list):
        return places
    if len(places) >= 3 and isinstance(places[0], str) and isinstance(places[1], int):
        name, call, *rest = places
        return [name, max(0, call - 1) if name in inner else call, *(_recounted(value, inner) for value in rest)]
    return [_recounted(value, inner) for value in places]


def _single(places: Any) -> Any:
    return places[0] if len(places) == 1 and isinstance(places[0], list) else places


def _without(config: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}
