"""Convert Keras to ONNX float32 (tf2onnx), and quantise ONNX to int8 (onnxruntime: QDQ, per channel, uint8 × int8)."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edge_runtime.bundle.embedded import KEY
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import canonical_json
from export.converters import onnx_operators
from export.converters.moments import attach_to_onnx, moment_nodes
from export.converters.onnx_names import BATCH, INPUT, MORE, OPSET, OUTPUT
from export.errors import NOTHING_TO_CORRECT, ConversionError
from export.quantisation.schemes import PERCENTILE, FloatLayerNames, Quantisation, Ranges
from export.source.keras_model import load_to_logits
from export.source.stored_tensors import StoredTensors

Floats = npt.NDArray[np.float32]


def write_float32(model_path: str, out: str, moments: bool = False) -> None:
    """Convert with tf2onnx, check the graph, and rename every value so that names depend only on the graph.

    Args:
        model_path: the Keras network; an .onnx file is copied.
        out: the file to write.
        moments: the last output is a feature map; replace it by its moments (:mod:`export.converters.moments`).
    """
    if Path(model_path).suffix == ".onnx":
        given = onnx.load(model_path)
        if keep_zeros_before_max_pools(given.graph):
            onnx.save(given, out)
        else:
            shutil.copyfile(model_path, out)
        return
    graph = converted(load_to_logits(model_path))
    keep_zeros_before_max_pools(graph.graph)
    _rename(graph.graph)
    onnx.checker.check_model(graph, full_check=True)  # tf2onnx raises no error for operators that it cannot convert
    onnx.save(graph, out)
    if moments:
        attach_to_onnx(Path(out))


def keep_zeros_before_max_pools(graph: onnx.GraphProto) -> int:
    """Put an operator without effect between each Pad and a MaxPool that reads it; return how many there are.

    onnxruntime fuses the two (``Pad_Fusion``, PR #18136), and its MaxPool ignores what it pads. Zeros are then missing
    at the border, and negative values win there. ResNet50V2 pads so.
    """
    padded = {node.output[0] for node in graph.node if node.op_type == "Pad"}
    pools = [node for node in graph.node if node.op_type == "MaxPool" and node.input[0] in padded]
    for pool in pools:
        lowest = numpy_helper.from_array(np.array(np.finfo(np.float32).min), f"{pool.output[0]}/lowest")
        kept = helper.make_node("Max", [pool.input[0], lowest.name], [f"{pool.output[0]}/zeros_kept"])
        pool.input[0] = kept.output[0]
        graph.initializer.append(lowest)
        graph.node.insert(list(graph.node).index(pool), kept)
    return len(pools)


def converted(model: Any) -> onnx.ModelProto:
    """Convert a Keras model of any number of inputs, with tf2onnx's names; the graph is not checked."""
    import tensorflow as tf
    import tf2onnx

    names = [INPUT, *(f"{INPUT}_{i}" for i in range(1, len(model.inputs)))]
    signature = [
        tf.TensorSpec((None, *taken.shape[1:]), taken.dtype, name=name)
        for taken, name in zip(model.inputs, names, strict=True)
    ]
    with _plain_grouped_convolutions():
        graph, _ = tf2onnx.convert.from_keras(
            model,
            input_signature=signature,
            opset=OPSET,
            optimizers=_optimisers(),
            custom_op_handlers=onnx_operators.handlers(),
        )
    return graph


def _optimisers() -> dict[str, Callable[[], Any]]:
    """Return tf2onnx's optimisers, each preceded by a garbage collection.

    Each optimiser gets a deep copy of the graph with its weights. Nodes and graph reference each other, so a replaced
    copy stays in memory until a full collection. Python delays that if there are few new objects, even large ones.
    """
    from tf2onnx.optimizer import _get_optimizers

    def after_collection(factory: Callable[[], Any]) -> Callable[[], Any]:
        def make() -> Any:
            gc.collect()
            return factory()

        return make

    return {name: after_collection(factory) for name, factory in _get_optimizers().items()}


@contextmanager
def _plain_grouped_convolutions() -> Iterator[None]:
    """Keep Keras from wrapping a grouped convolution in a compiled function, which tf2onnx cannot convert."""
    import tensorflow as tf
    from keras.src.backend.tensorflow import nn

    conv, compiled = nn.conv, tf.function

    def plain_conv(*args: Any, **kwargs: Any) -> Any:
        tf.function = lambda **options: lambda function: function
        try:
            return conv(*args, **kwargs)
        finally:
            tf.function = compiled

    nn.conv = plain_conv
    try:
        yield
    finally:
        nn.conv = conv


def write_prepared(float32_path: str, out: str) -> None:
    """Fold constants and infer shapes, as onnxruntime's quantiser requires."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(float32_path, out, skip_symbolic_shape=True)


def write_quantised(
    prepared_path: str, tensors_path: str, folder: str, error_path: str, layers_path: str, how: Quantisation, out: str
) -> None:
    """Quantise a prepared file: QDQ, per channel, activations uint8 and weights int8.

    Args:
        tensors_path: calibration images, float32 N×H×W×C.
        folder: folder for measured ranges, which the next scheme reads again.
        error_path: mean error of the logits, float32, for ``how.bias_corrected``.
        layers_path: the layers that may stay float32, for schemes that keep some.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    method = CalibrationMethod.MinMax if how.ranges is Ranges.EXTREMES else CalibrationMethod.Percentile
    model = onnx.load(prepared_path)
    if how.bias_corrected:
        _subtract_from_last_bias(model.graph, np.load(error_path))
    kept = FloatLayerNames.read(Path(layers_path)).kept(how) if how.keeps_layers else []
    quantize_static(
        model,
        out,
        _reader(StoredTensors(tensors_path)),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=how.seven_bits,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[*kept, *moment_nodes(model.graph)],
        calibrate_method=method,
        calibration_cache_path=Path(folder) / f"{how.ranges.value}.json",
        extra_options={"CalibPercentile": PERCENTILE} | _ONE_BY_ONE,
    )
    onnx.checker.check_model(onnx.load(out))


_ONE_BY_ONE = {"CalibStridedMinMax": 1}
"""Without it onnxruntime keeps the calibrator's outputs of all images in memory: for percentiles every activation. Its
other option, CalibMaxIntermediateOutputs, drops outputs that were not merged yet (onnxruntime 1.31)."""


def _reader(tensors: StoredTensors) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self) -> None:
            self.set_range(0, len(tensors))

        def __len__(self) -> int:
            return len(tensors)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._tensors = tensors.rows(start_index, end_index)

        def get_next(self) -> dict[str, Floats] | None:
            tensor = next(self._tensors, None)
            return None if tensor is None else {INPUT: tensor[np.newaxis]}

    return Reader()


def _subtract_from_last_bias(graph: onnx.GraphProto, error: Floats) -> None:
    """Subtract ``error`` from the constant that the last node adds.

    Raises:
        ConversionError: the last node adds no constant of that length.
    """
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    for value in graph.initializer:
        if value.name in last.input and last.op_type in ("Add", "Gemm", "Conv") and list(value.dims) == [len(error)]:
            changed = (numpy_helper.to_array(value) - error).astype(np.float32)
            value.CopyFrom(numpy_helper.from_array(changed, value.name))
            return
    raise ConversionError(f"the last node adds no bias for each logit; {NOTHING_TO_CORRECT}.")


def embed(path: Path, spec: ModelSpec) -> None:
    """Write the spec to ``metadata_props``, where :mod:`edge_runtime.bundle.embedded` reads it."""
    model = onnx.load(path)
    model.doc_string = f"{spec.name} {spec.version}: {spec.summary}"
    onnx.helper.set_model_props(model, {KEY: canonical_json(spec), "labels": ", ".join(spec.labels)})
    onnx.save(model, path)


def _rename(graph: onnx.GraphProto) -> None:
    """Number values and nodes in graph order, because tf2onnx's names depend on earlier work of its process."""
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT, "": ""}
    names |= {value.name: f"{MORE}_{i}" for i, value in enumerate(graph.output) if i > 0}

    _rename_values(graph, names)
    for value in (*graph.input, *graph.output, *graph.value_info):
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param:
                side.dim_param = BATCH
    graph.name = "network"
    graph.doc_string = ""  # it is Keras' automatic model name, which counts the models of its process


def _rename_values(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Rename as in ``names`` and number the others, also in the bodies of loops, which use values of the outer one."""

    def name(old: str) -> str:
        return names.setdefault(old, f"v{len(names)}")

    for i, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{i}"
        node.input[:] = [name(old) for old in node.input]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename_values(attribute.g, names)
                attribute.g.name = f"{node.name}_{attribute.name}"
        node.output[:] = [name(old) for old in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = name(value.name)
    for values in (graph.initializer, graph.value_info):  # tf2onnx lists them in arbitrary order
        ordered = sorted(values, key=lambda value: (len(value.name), value.name))
        del values[:]
        values.extend(ordered)
