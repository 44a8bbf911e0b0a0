"""What int8 does to each layer of an .onnx file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx

from export.formats.to_onnx import INPUT

_JUDGED = 4
"""Pictures on which layers are compared: all their activations are held at once."""


def write_layers(prepared_path: str, int8_path: str, tensors_path: str, out: str) -> None:
    """Write JSON pairs of a node's name and the int8 error of what goes into it, the most hurt first.

    The error is that of one rounding to int8, root mean square, in percent of the root mean square of the values
    (onnxruntime's quantisation debugger gives it as a signal-to-noise ratio in dB).
    """
    from onnxruntime.quantization import qdq_loss_debug as debug

    tensors = np.load(tensors_path)[:_JUDGED]
    with tempfile.TemporaryDirectory() as folder:
        watched = str(Path(folder) / "watched.onnx")
        debug.modify_model_output_intermediate_tensors(int8_path, watched)
        values = debug.collect_activations(watched, iter([{INPUT: tensor[np.newaxis]} for tensor in tensors]))
    ratios = debug.compute_activation_error(debug.create_activation_matching(values, values))
    hurt = {name: 100 * 10 ** (-found["qdq_err"] / 20) for name, found in ratios.items()}
    pairs = [(node.name, max((hurt.get(i, 0.0) for i in node.input), default=0.0)) for node in _nodes(prepared_path)]
    Path(out).write_text(json.dumps(sorted(pairs, key=lambda pair: (-pair[1], pair[0])), indent=1))


def _nodes(path: str) -> list[onnx.NodeProto]:
    """Return the nodes that compute: their inputs are what int8 rounds."""
    computing = ("Add", "Conv", "Gemm", "MatMul", "Mul", "Sigmoid")
    return [node for node in onnx.load(path).graph.node if node.op_type in computing]
