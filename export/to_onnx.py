"""Keras → ONNX float32 (tf2onnx), and ONNX → int8 (onnxruntime: QDQ, per channel, uint8 × int8)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from edge_runtime.embedded import KEY
from edge_runtime.records import canonical_json
from edge_runtime.spec import ModelSpec
from export.keras_model import load_to_logits

OPSET = 17
INPUT, OUTPUT, BATCH = "image", "logits", "batch"


def write_float32(model_path: str, out: str) -> None:
    """Convert with tf2onnx, check the graph, and give every value a name that only the graph decides."""
    import tensorflow as tf
    import tf2onnx

    model = load_to_logits(model_path)
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)]
    graph, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=OPSET)
    _rename(graph.graph)
    onnx.checker.check_model(graph, full_check=True)  # tf2onnx does not raise on operators that it cannot convert
    onnx.save(graph, out)


def write_int8(float32_path: str, tensors_path: str, out: str) -> None:
    """Quantise statically, MinMax ranges measured on saved tensors (float32 N×H×W×C)."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self) -> None:
            self._tensors: Iterator[np.ndarray] = iter(np.load(tensors_path))

        def get_next(self) -> dict[str, np.ndarray] | None:
            tensor = next(self._tensors, None)
            return None if tensor is None else {INPUT: tensor[np.newaxis]}

    with tempfile.TemporaryDirectory() as folder:
        prepared = str(Path(folder) / "prepared.onnx")
        quant_pre_process(float32_path, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            out,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    onnx.checker.check_model(onnx.load(out))


def embed(path: Path, spec: ModelSpec) -> None:
    """Write the spec into ``metadata_props``, where :mod:`edge_runtime.embedded` reads it."""
    model = onnx.load(path)
    model.doc_string = f"{spec.name} {spec.version}: {spec.summary}"
    onnx.helper.set_model_props(model, {KEY: canonical_json(spec), "labels": ", ".join(spec.labels)})
    onnx.save(model, path)


def _rename(graph: onnx.GraphProto) -> None:
    """Number values and nodes in graph order: tf2onnx's names depend on what its process did before."""
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT, "": ""}

    def name(old: str) -> str:
        return names.setdefault(old, f"v{len(names)}")

    for i, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{i}"
        node.input[:] = [name(old) for old in node.input]
        node.output[:] = [name(old) for old in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = name(value.name)
    for value in (*graph.input, *graph.output, *graph.value_info):
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param:
                side.dim_param = BATCH
    for values in (graph.initializer, graph.value_info):  # tf2onnx lists them in the order of a set
        ordered = sorted(values, key=lambda value: (len(value.name), value.name))
        del values[:]
        values.extend(ordered)
    graph.name = "network"
