"""Keras → TFLite, float32 and full int8 (int8 in, int8 out), ending at the logits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from edge_runtime.embedded import KEY
from edge_runtime.records import canonical_json
from edge_runtime.spec import ModelSpec
from export.keras_model import load_to_logits


def write_float32(model_path: str, out: str) -> None:
    """Convert without quantisation."""
    Path(out).write_bytes(_converter(model_path).convert())


def write_int8(model_path: str, tensors_path: str, out: str) -> None:
    """Quantise weights (per channel) and activations to int8, ranges measured on saved tensors."""
    import tensorflow as tf

    tensors = np.load(tensors_path)

    def representative() -> Iterator[list[Any]]:
        for tensor in tensors:
            yield [tensor[np.newaxis]]

    converter = _converter(model_path)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    # Only these: an operator without an int8 kernel is then an error, not a silent float island.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    Path(out).write_bytes(converter.convert())


def _converter(model_path: str) -> Any:
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_keras_model(load_to_logits(model_path))


def embed(path: Path, spec: ModelSpec) -> None:
    """Write the spec into the file's metadata, where :mod:`edge_runtime.embedded` reads it."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    model.description = f"{spec.name} {spec.version}: {spec.summary}"
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(canonical_json(spec).encode("ascii"), dtype=np.uint8)
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(path.stat().st_size + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
