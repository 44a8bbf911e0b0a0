"""Each way of quantising .onnx files does what it says, seen in the file and in its logits."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tf2onnx.graph
import tf2onnx.optimizer
from onnx import numpy_helper

from export.converters import onnx_layers, to_onnx
from export.errors import ConversionError
from export.quantisation.schemes import FloatLayerNames, Quantisation, Ranges
from export.source.keras_model import load_to_logits
from tests.integration.export.networks import Floats, branches, convert, dots, logits

OUTLIER = 50.0


@dataclass(frozen=True)
class Shared:
    """A prepared file, its int8 file, and what Keras answers to images that calibration never saw."""

    model: Path
    ranges: Path
    prepared: Path
    int8: Path
    layers: Path
    tensors: Floats
    expected: Floats

    def quantise(
        self, how: Quantisation, out: Path, *, ranges: Path | None = None, error: Floats | None = None
    ) -> Path:
        """Quantise with scratch beside ``out``."""
        if error is not None:
            np.save(out.parent / "error.npy", error)
        scratch = (out.parent, out.parent / "error.npy", self.layers)
        convert(to_onnx.write_quantised, self.prepared, ranges or self.ranges, *scratch, how, out)
        return out

    def error(self, path: Path) -> Floats:
        return np.asarray(logits(path, self.tensors) - self.expected)


def _made(folder: Path, model: Any) -> Shared:
    """Save a network, and make all that quantising it starts from."""
    tensors = dots(40, seed=1)
    model.save(folder / "model.keras")
    np.save(folder / "ranges.npy", dots(40, seed=0))
    names = ("model.keras", "ranges.npy", "prepared.onnx", "int8.onnx", "layers.json")
    made = Shared(*(folder / name for name in names), tensors, np.asarray(model(tensors)))
    convert(to_onnx.write_float32, made.model, folder / "float32.onnx")
    convert(to_onnx.write_prepared, folder / "float32.onnx", made.prepared)
    made.quantise(Quantisation(), made.int8)
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    made = _made(tmp_path_factory.mktemp("onnx"), branches())
    convert(onnx_layers.write_layers, made.prepared, made.int8, made.ranges, made.layers)
    return made


def _constants(path: Path) -> dict[str, np.ndarray]:
    return {value.name: numpy_helper.to_array(value) for value in onnx.load(path).graph.initializer}


def _input_scale(path: Path) -> float:
    """The step of the image's quantisation, after it was transposed to channels first."""
    images = {to_onnx.INPUT}
    for node in onnx.load(path).graph.node:
        if node.op_type == "Transpose" and node.input[0] in images:
            images.add(node.output[0])
        if node.op_type == "QuantizeLinear" and node.input[0] in images:
            return float(_constants(path)[node.input[1]])
    raise AssertionError("the image is not quantised")


def _quantised(path: Path) -> dict[str, bool]:
    """Name of each node with weights → whether they are int8; what goes in is quantised for its maker already."""
    graph = onnx.load(path).graph
    maker = {out: node.op_type for node in graph.node for out in node.output}
    heavy = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return {node.name: maker.get(node.input[1]) == "DequantizeLinear" for node in heavy}


def test_the_same_network_gives_the_same_bytes_whatever_keras_calls_it(shared: Shared, tmp_path: Path) -> None:
    """Keras numbers the models of a process, and tf2onnx writes such a name into the graph."""
    same = branches()
    assert same.name != load_to_logits(str(shared.model)).name
    same.save(tmp_path / "model.keras")
    convert(to_onnx.write_float32, tmp_path / "model.keras", tmp_path / "again.onnx")
    first = shared.prepared.with_name("float32.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == first.read_bytes()
    assert onnx.load(first).graph.doc_string == ""


def test_the_error_is_taken_out_of_the_last_bias_and_nothing_else_changes(shared: Shared, tmp_path: Path) -> None:
    error = np.array([0.25, -0.5], dtype=np.float32)
    model = onnx.load(shared.prepared)
    to_onnx._subtract_from_last_bias(model.graph, error)
    onnx.save(model, tmp_path / "out.onnx")
    before, after = (logits(path, shared.tensors) for path in (shared.prepared, tmp_path / "out.onnx"))
    np.testing.assert_allclose(after - before, np.broadcast_to(-error, before.shape), atol=1e-6)


def test_a_corrected_int8_file_has_a_smaller_mean_error(shared: Shared, tmp_path: Path) -> None:
    error = shared.error(shared.int8).mean(axis=0)
    out = shared.quantise(Quantisation(bias_corrected=True), tmp_path / "out.onnx", error=error)
    found = shared.error(out).mean(axis=0)
    assert np.abs(found).max() < 0.5 * np.abs(error).max(), (found, error)


def test_without_a_bias_for_each_logit_there_is_nothing_to_correct(shared: Shared, tmp_path: Path) -> None:
    how = Quantisation(bias_corrected=True)
    with pytest.raises(ConversionError, match="the last node adds no bias for each logit"):
        shared.quantise(how, tmp_path / "out.onnx", error=np.zeros(3, np.float32))
    branches(bias=False).save(tmp_path / "bare.keras")
    convert(to_onnx.write_float32, tmp_path / "bare.keras", tmp_path / "bare.onnx")
    with pytest.raises(ConversionError, match="the last node adds no bias for each logit"):
        to_onnx._subtract_from_last_bias(onnx.load(tmp_path / "bare.onnx").graph, np.zeros(2, np.float32))
    assert not (tmp_path / "out.onnx").exists()


def test_percentiles_cut_off_one_outlier_and_keep_the_bulk(shared: Shared, tmp_path: Path) -> None:
    tensors = np.random.default_rng(7).random((600, 8, 8, 3), dtype=np.float32)  # 115 200 values
    tensors[300, 4, 4, 1] = OUTLIER
    np.save(tmp_path / "ranges.npy", tensors)
    found = {}
    for ranges in Ranges:
        path = shared.quantise(Quantisation(ranges), tmp_path / f"{ranges.value}.onnx", ranges=tmp_path / "ranges.npy")
        found[ranges] = 255 * _input_scale(path)
    assert found[Ranges.EXTREMES] == pytest.approx(OUTLIER, rel=1e-3)
    # a histogram of 2048 bins, at first over one image's range and then widened in such bins
    assert np.quantile(tensors, 0.9999) - 0.01 <= found[Ranges.PERCENTILE] <= 1.0 + 2 * OUTLIER / 2048


def test_ranges_are_measured_once_for_all_ways(shared: Shared, tmp_path: Path) -> None:
    """The second call is given other images, and does not look at them."""
    np.save(tmp_path / "other.npy", 9 * dots(40, seed=5))
    for ranges in Ranges:
        first = shared.quantise(Quantisation(ranges), tmp_path / "first.onnx")
        kept = tmp_path / f"{ranges.value}.json"
        written = os.stat(kept).st_mtime_ns
        second = shared.quantise(Quantisation(ranges), tmp_path / "second.onnx", ranges=tmp_path / "other.npy")
        assert second.read_bytes() == first.read_bytes()
        assert os.stat(kept).st_mtime_ns == written


def test_layers_are_named_as_in_the_prepared_file_the_most_hurt_first(shared: Shared) -> None:
    names, errors = zip(*FloatLayerNames.read(shared.layers).hurt, strict=True)
    assert set(_quantised(shared.int8)) <= set(names) <= {n.name for n in onnx.load(shared.prepared).graph.node}
    assert list(errors) == sorted(errors, reverse=True)
    assert errors[0] > 0


def test_one_layer_in_float32_is_the_most_hurt_one_and_no_other(shared: Shared, tmp_path: Path) -> None:
    hurt = FloatLayerNames.read(shared.layers).hurt[0][0]
    out = shared.quantise(Quantisation(float_layers=1), tmp_path / "out.onnx")
    assert set(_quantised(shared.int8).values()) == {True}
    assert _quantised(out) == {name: name != hurt for name in _quantised(shared.int8)}
    node = next(node for node in onnx.load(out).graph.node if node.name == hurt)
    assert {_constants(out)[name].dtype for name in node.input if name in _constants(out)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("first", "kept"), [(0, [3]), (1, [0, 3]), (3, [0, 1, 2, 3])])
def test_the_ends_in_float32_are_the_first_convolutions_and_the_dense_layer(
    shared: Shared, tmp_path: Path, first: int, kept: list[int]
) -> None:
    how = Quantisation(float_first=first, float_last=True)
    found = _quantised(shared.quantise(how, tmp_path / "out.onnx"))
    assert list(found) == list(_quantised(shared.int8)) and len(found) == 4  # three convolutions, and the dense layer
    assert [number for number, quantised in enumerate(found.values()) if not quantised] == kept
    if first == 3:
        np.testing.assert_allclose(logits(tmp_path / "out.onnx", shared.tensors), shared.expected, atol=1e-5)


def test_a_layer_in_float32_stays_so_when_it_runs(tmp_path: Path) -> None:
    """One of its inputs is always 0, and the weights of that one so large that int8's step leaves none of the others.

    onnxruntime by itself rounds the weights of a layer that stands between two that are quantised.
    """
    import keras
    from keras import layers

    inputs = keras.Input((8, 8, 3))
    first, uneven, last = (layers.Conv2D(4, 2, activation="relu") for _ in range(3))
    x = layers.GlobalAveragePooling2D()(last(uneven(first(inputs))))
    model = keras.Model(inputs, layers.Dense(2, bias_initializer="random_normal")(x))
    first.set_weights([first.get_weights()[0], np.array([0, 0, -100, 0], np.float32)])
    kernel, bias = uneven.get_weights()
    kernel[:, :, 2] = 1000.0
    uneven.set_weights([kernel, bias])
    made = _made(tmp_path, model)
    convolutions = [node.name for node in onnx.load(made.prepared).graph.node if node.op_type == "Conv"]
    FloatLayerNames([(convolutions[1], 1.0)], [], []).write(made.layers)
    kept = made.quantise(Quantisation(float_layers=1), tmp_path / "kept.onnx")
    ours, theirs = (float(np.abs(made.error(path)).mean()) for path in (kept, made.int8))
    assert ours < 0.2 * theirs, f"mean |Δ logit| {ours} with one layer in float32, {theirs} with none"


def test_the_body_of_a_loop_uses_the_renamed_values_of_the_graph_around_it(tmp_path: Path) -> None:
    """A GRU that is not unrolled becomes a loop, whose body reads the sequence from outside."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Dense(2)(layers.GRU(4)(layers.Reshape((8, 24))(image))))
    model.save(tmp_path / "gru.keras")
    convert(to_onnx.write_float32, tmp_path / "gru.keras", tmp_path / "gru.onnx")
    graph = onnx.load(tmp_path / "gru.onnx").graph
    bodies = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    assert [body.name for body in bodies] and "Loop" in {node.op_type for node in graph.node}
    names = {node.name for body in (graph, *bodies) for node in body.node}
    assert all(name.rpartition("_")[2].isdigit() for name in names), names
    images = np.random.default_rng(1).normal(size=(5, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(logits(tmp_path / "gru.onnx", images), model.predict(images, verbose=0), atol=1e-5)


def test_tf2onnx_never_holds_more_than_three_copies_of_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy holds all weights, and Python by itself collects none of them while few objects are new."""
    copies: list[int] = []
    known = tf2onnx.optimizer._get_optimizers()

    def counting(factory: Callable[[], object]) -> Callable[[], object]:
        def make() -> object:
            copies.append(sum(type(each) is tf2onnx.graph.Graph for each in gc.get_objects()))
            return factory()

        return make

    monkeypatch.setattr(
        tf2onnx.optimizer, "_get_optimizers", lambda: {name: counting(factory) for name, factory in known.items()}
    )
    branches().save(tmp_path / "model.keras")
    gc.collect()
    gc.disable()
    try:
        convert(to_onnx.write_float32, tmp_path / "model.keras", tmp_path / "out.onnx")
    finally:
        gc.enable()
    assert len(copies) > len(known)  # they go round until nothing changes
    assert max(copies) == 3, copies  # the first one, the one to improve, and the copy that is improved


@pytest.mark.parametrize("has_convolution", [True, False])
def test_zeros_that_a_network_pads_before_a_max_pool_stay_zeros(has_convolution: bool, tmp_path: Path) -> None:
    """onnxruntime fuses the two into a pool that ignores what it pads; all values here are negative."""
    import keras

    taken = keras.layers.Input((4, 4, 2))
    values = -1.0 - taken
    if has_convolution:  # without one, a Transpose stands between the two
        values = keras.layers.Conv2D(2, 1, kernel_initializer="ones")(values)
    model = keras.Model(
        taken, keras.layers.Flatten()(keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D()(values)))
    )
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(3).random((2, 4, 4, 2)).astype(np.float32)
    expected = np.asarray(model(images))
    assert (expected[:, :6] == 0).all() and (expected < 0).any()
    convert(to_onnx.write_float32, tmp_path / "model.keras", tmp_path / "float32.onnx")
    convert(to_onnx.write_prepared, tmp_path / "float32.onnx", tmp_path / "prepared.onnx")
    for name in ("float32.onnx", "prepared.onnx"):
        np.testing.assert_allclose(logits(tmp_path / name, images), expected, atol=1e-6)


def test_a_given_graph_whose_max_pool_reads_zeros_keeps_them(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("Pad", ["image", "pads"], ["padded"]),
        onnx.helper.make_node("MaxPool", ["padded"], ["pooled"], kernel_shape=[2, 2]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 1, s, s])
        for n, s in (("image", 2), ("pooled", 3))
    ]
    pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")
    graph = onnx.helper.make_graph(nodes, "pads", ends[:1], ends[1:], [pads])
    given = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=9)
    onnx.save(given, tmp_path / "given.onnx")
    to_onnx.write_float32(str(tmp_path / "given.onnx"), str(tmp_path / "float32.onnx"))
    image = np.full((1, 1, 2, 2), -1, np.float32)
    assert logits(tmp_path / "float32.onnx", image).reshape(3, 3).tolist() == [[0, 0, 0], [0, -1, 0], [0, 0, 0]]
