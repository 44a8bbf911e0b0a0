"""Measure each layer of a calibrated .tflite file: percentiles of its values, and its int8 error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.converters.tflite_file import join_ranges, layers_of, names_of, ranges_of, set_ranges
from export.converters.to_tflite import quantise
from export.quantisation.float_endpoints import first_layers, last_layers
from export.quantisation.schemes import PERCENTILE, FloatLayerNames
from export.source.stored_tensors import StoredTensors

_BINS = 4096
_JUDGED = 16
"""Number of images on which layers are compared. Few suffice: errors differ by orders of magnitude between layers, but
hardly between images."""


def write_percentiles(calibrated_path: str, tensors_path: str, out: str) -> None:
    """Write a copy of the calibrated file with each tensor's range reduced to the percentiles of its values."""
    ranges = ranges_of(Path(calibrated_path))
    counts = {index: np.zeros(_BINS, dtype=np.int64) for index in ranges}
    for values in _activations(calibrated_path, StoredTensors(tensors_path), tuple(ranges)):
        for index, found in values.items():
            low, high = ranges[index]
            counts[index] += np.histogram(found, bins=_BINS, range=(low, max(high, low + 1e-9)))[0]
    drawn = {index: _percentiles(counts[index], *ranges[index]) for index in ranges}
    set_ranges(Path(calibrated_path), drawn, Path(out))
    join_ranges(Path(out), Path(out))


def write_layers(calibrated_path: str, tensors_path: str, out: str) -> None:
    """Write the layers that may stay float32, as :class:`export.quantisation.schemes.FloatLayerNames`.

    For the int8 error, each layer gets int8 inputs and is compared with its float32 version on the same inputs. The
    error is the root mean square over images and values, in int8 steps of the layer; pure rounding gives 0.29.
    """
    verified = Path(out).with_suffix(".verified")
    verified.write_bytes(quantise(Path(calibrated_path), verify=True))
    known = names_of(Path(calibrated_path))
    checked, squares = _compare_layers(str(verified), StoredTensors(tensors_path)[:_JUDGED])
    names = [_original_name(name, known) for name in checked]
    verified.unlink()
    pairs = sorted(zip(names, np.sqrt(squares).tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    layers, logits = layers_of(Path(calibrated_path))
    FloatLayerNames(pairs, first_layers(layers), last_layers(layers, logits)).write(Path(out))


def _original_name(checked: str, known: frozenset[str]) -> str:
    """Return a layer's name in the calibrated file, without the digits that NumericVerify appends."""
    name = checked
    while name not in known and name[-1:].isdigit():
        name = name[:-1]
    return name


def _compare_layers(path: str, tensors: Any) -> tuple[list[str], Any]:
    """Run a file with NumericVerify operators; return the layer names and their mean squared errors in int8 steps."""
    interpreter = _interpreter(path)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    checks = [op for op in interpreter._get_ops_details() if op["op_name"] == "NumericVerify"]
    squares = np.zeros(len(checks))
    for tensor in tensors:
        _feed(interpreter, tensor)
        for row, check in enumerate(checks):
            step = details[check["inputs"][0]]["quantization"][0]
            squares[row] += float(np.mean((interpreter.get_tensor(check["outputs"][0]) / step) ** 2))
    return [details[check["inputs"][0]]["name"] for check in checks], squares / len(tensors)


def _activations(path: str, tensors: Any, indices: tuple[int, ...]) -> Iterator[dict[int, Any]]:
    """Yield, for each image, the values of the tensors with the given indices."""
    interpreter = _interpreter(path)
    for tensor in tensors:
        _feed(interpreter, tensor)
        yield {index: interpreter.get_tensor(index) for index in indices}


def _interpreter(path: str) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns that preserving tensors uses memory
        interpreter = Interpreter(model_path=path, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    return interpreter


def _feed(interpreter: Any, tensor: Any) -> None:
    detail = interpreter.get_input_details()[0]
    values = tensor[np.newaxis]
    if detail["dtype"] is np.int8:
        scale, zero_point = detail["quantization"]
        values = np.clip(np.rint(values / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()


def _percentiles(counts: Any, low: float, high: float) -> tuple[float, float]:
    """Return the lower and upper :data:`PERCENTILE` limit of a histogram's values."""
    share = np.cumsum(counts) / max(1, counts.sum())
    edges = np.linspace(low, high, len(counts) + 1)
    rare = 1 - PERCENTILE / 100
    first = int(np.searchsorted(share, rare, side="right"))
    last = int(np.searchsorted(share, 1 - rare, side="left"))
    return float(edges[first]), float(edges[min(last + 1, len(counts))])
