"""What the converters write: integer arithmetic throughout, per-channel weights, graphs that end at the logits."""

from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, numpy_helper

from export.converters import to_onnx, to_tflite
from export.converters.isolation import in_own_process
from export.errors import ConversionError
from export.quantisation.schemes import Quantisation
from training.recipes.phantom_patch import SPEC, network

CONVOLUTIONS = 3
FLOATING = (np.float32, np.float64, np.float16)
SQUASHING = {"Sigmoid", "Softmax", "LOGISTIC", "SOFTMAX", "Logistic", "HardSigmoid"}
TFLITE = ("model.int8.tflite", "model.float32.tflite")
ONNX = ("model.int8.onnx", "model.float32.onnx")


def _interpreter(path: Path) -> Interpreter:
    """Without XNNPACK, which would hide the operators behind one of its own."""
    from ai_edge_litert.interpreter import OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=path.read_bytes(), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return interpreter


def _tflite_operators(path: Path) -> list[str]:
    return [entry["op_name"] for entry in _interpreter(path)._get_ops_details()]


def _onnx_operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_the_int8_tflite_takes_and_gives_int8_with_a_scale_that_covers_the_images(phantom_bundle: Path) -> None:
    interpreter = _interpreter(phantom_bundle / "model.int8.tflite")
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (taken["dtype"], given["dtype"]) == (np.int8, np.int8)
    scale, zero_point = taken["quantization"]
    assert scale * (-128 - zero_point) == pytest.approx(0.0, abs=1e-6)
    assert scale * (127 - zero_point) == pytest.approx(1.0, abs=1e-6)
    assert given["shape"].tolist() == [1, SPEC.outputs]


def test_every_tensor_of_the_int8_tflite_is_an_integer(phantom_bundle: Path) -> None:
    interpreter = _interpreter(phantom_bundle / "model.int8.tflite")
    found = [(t["name"], t["dtype"].__name__) for t in interpreter.get_tensor_details() if t["dtype"] in FLOATING]
    assert found == []
    islands = {"DEQUANTIZE", "QUANTIZE", "FlexErf", "CUSTOM"} & set(_tflite_operators(phantom_bundle / TFLITE[0]))
    assert not islands


def test_the_tflite_convolutions_have_a_scale_for_each_channel(phantom_bundle: Path) -> None:
    interpreter = _interpreter(phantom_bundle / "model.int8.tflite")
    weights = [
        t for t in interpreter.get_tensor_details() if len(t["shape"]) == 4 and t["shape"][1:3].tolist() == [3, 3]
    ]
    assert len(weights) == CONVOLUTIONS
    for tensor in weights:
        scales = tensor["quantization_parameters"]["scales"]
        assert len(scales) == tensor["shape"][0], tensor["name"]
        assert len(np.unique(scales)) > 1, tensor["name"]


def test_the_float32_tflite_is_float_throughout(phantom_bundle: Path) -> None:
    interpreter = _interpreter(phantom_bundle / "model.float32.tflite")
    assert interpreter.get_input_details()[0]["dtype"] is np.float32
    assert not [t["name"] for t in interpreter.get_tensor_details() if t["dtype"] in (np.int8, np.uint8, np.int16)]


def test_the_int8_onnx_quantises_activations_to_uint8_and_weights_to_int8_per_channel(phantom_bundle: Path) -> None:
    model = onnx.load(phantom_bundle / "model.int8.onnx")
    constants = _constants(model)
    kinds = {"QuantizeLinear", "DequantizeLinear"}
    assert kinds <= {node.op_type for node in model.graph.node}
    weights = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    kernels = [n for n in weights if constants[n.input[0]].ndim == 4]
    assert len(kernels) == CONVOLUTIONS
    for node in kernels:
        values, scales = constants[node.input[0]], constants[node.input[1]]
        assert (values.dtype, scales.shape) == (np.int8, (values.shape[0],)), node.name
    zero_points = {constants[n.input[2]].dtype for n in model.graph.node if n.op_type == "QuantizeLinear"}
    assert zero_points == {np.dtype(np.uint8)}


def test_every_convolution_and_dense_layer_of_the_int8_onnx_reads_quantised_values(phantom_bundle: Path) -> None:
    graph = onnx.load(phantom_bundle / "model.int8.onnx").graph
    maker = {out: node.op_type for node in graph.node for out in node.output}
    heavy = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert len(heavy) == CONVOLUTIONS + 1
    for node in heavy:
        assert [maker.get(name) for name in node.input[:2]] == ["DequantizeLinear"] * 2, node.name


@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_file_names_its_input_batch_and_logits_and_is_sound(name: str, phantom_bundle: Path) -> None:
    model = onnx.load(phantom_bundle / name)
    onnx.checker.check_model(model, full_check=True)
    for value, label, tail in ((model.graph.input[0], "image", [50, 50, 3]), (model.graph.output[0], "logits", [2])):
        kind = value.type.tensor_type
        assert (value.name, kind.elem_type) == (label, TensorProto.FLOAT)
        assert kind.shape.dim[0].dim_param == "batch"
        assert [side.dim_value for side in kind.shape.dim[1:]] == tail
    assert model.opset_import[0].version == to_onnx.OPSET


@pytest.mark.parametrize("name", TFLITE + ONNX)
def test_no_graph_squashes_its_logits(name: str, phantom_bundle: Path) -> None:
    """An int8 sigmoid has steps of 1/256: confidences of .999 would not exist."""
    path = phantom_bundle / name
    operators = _tflite_operators(path) if name.endswith("tflite") else _onnx_operators(path)
    assert len(operators) > CONVOLUTIONS
    assert not SQUASHING & set(operators), operators


def _model_with_erfinv(path: Path) -> None:
    """Fits no int8 kernel: TFLite has no inverse error function."""
    inputs = keras.Input((8, 8, 3))
    x = keras.ops.erfinv(keras.layers.Conv2D(4, 3)(inputs) * 0.1)
    x = keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(x))
    keras.Model(inputs, x).save(path)


def test_a_network_without_int8_kernels_is_an_error_and_not_a_file(tmp_path: Path) -> None:
    _model_with_erfinv(tmp_path / "model.keras")
    np.save(tmp_path / "ranges.npy", np.random.default_rng(0).random((4, 8, 8, 3), dtype=np.float32))
    paths = [str(tmp_path / name) for name in ("model.keras", "ranges.npy", "calibrated.tflite", "out.tflite")]
    with pytest.raises(ConversionError, match=r"export\.converters\.to_tflite\.write_\w+ failed: .*[Ee]rfinv"):
        in_own_process(to_tflite.write_calibrated, *paths[:3])
        in_own_process(to_tflite.write_quantised, paths[2], "", "", Quantisation(), paths[3])
    assert not (tmp_path / "out.tflite").exists()


def test_a_network_needs_no_layer_of_a_certain_name(tmp_path: Path) -> None:
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "model.keras")
    in_own_process(to_onnx.write_float32, str(tmp_path / "model.keras"), str(tmp_path / "out.onnx"))
    assert not SQUASHING & set(_onnx_operators(tmp_path / "out.onnx"))


def test_the_phantom_network_has_the_layers_that_these_tests_count() -> None:
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in network().layers) == CONVOLUTIONS
