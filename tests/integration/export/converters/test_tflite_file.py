"""Each step that int8 .tflite files are made in does what it says, seen in the file and in its logits."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edge_runtime.bundle.embedded import read_embedded
from edge_runtime.bundle.runtime_manifest import Format
from export.converters import tflite_file, tflite_layers, to_tflite
from export.errors import ConversionError
from export.quantisation.schemes import FloatLayerNames, Quantisation
from tests.integration.export.networks import Floats, branches, convert, dots, logits, operators
from tests.phantom_bundle import COMMITTED

PLAIN = Quantisation()
ADDED = {"QUANTIZE", "DEQUANTIZE"}
OUTLIER = 50.0


@dataclass(frozen=True)
class Shared:
    """A calibrated file, what it was made from, and what Keras answers to images that calibration never saw."""

    model: Path
    ranges: Path
    calibrated: Path
    int8: Path
    tensors: Floats
    expected: Floats

    def error(self, path: Path) -> Floats:
        return np.asarray(logits(path, self.tensors) - self.expected)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    folder = tmp_path_factory.mktemp("tflite")
    model, tensors = branches(), dots(40, seed=1)
    model.save(folder / "model.keras")
    np.save(folder / "ranges.npy", dots(40, seed=0))
    paths = [folder / name for name in ("model.keras", "ranges.npy", "calibrated.tflite", "int8.tflite")]
    convert(to_tflite.write_calibrated, *paths[:3])
    convert(to_tflite.write_quantised, paths[2], "", "", PLAIN, paths[3])
    return Shared(*paths, tensors, np.asarray(model(tensors)))


@pytest.fixture(scope="module")
def layers(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("layers") / "layers.json"
    convert(tflite_layers.write_layers, shared.calibrated, shared.ranges, path)
    return path


def _opened(path: Path) -> Interpreter:
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=path.read_bytes(), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return interpreter


def _outputs(path: Path) -> list[dict[str, Any]]:
    """Each operator's first output, in order, without the operators that quantising adds."""
    interpreter = _opened(path)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    return [details[op["outputs"][0]] for op in interpreter._get_ops_details() if op["op_name"] not in ADDED]


def _top(detail: dict[str, Any]) -> float:
    """The largest value that an int8 tensor can hold."""
    scale, zero_point = detail["quantization"]
    return float(scale * (127 - zero_point))


def test_without_joined_ranges_int8_cuts_off_what_exceeds_the_averages(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured on ShuffleNet; if this fails on the first line, the quantiser no longer needs joined ranges."""
    monkeypatch.setattr(to_tflite, "join_ranges", lambda source, out: None)
    convert(to_tflite.write_calibrated, shared.model, shared.ranges, tmp_path / "apart.tflite")
    convert(to_tflite.write_quantised, tmp_path / "apart.tflite", "", "", PLAIN, tmp_path / "int8.tflite")
    largest = tflite_file.ranges_of(tmp_path / "apart.tflite")
    first = _outputs(tmp_path / "apart.tflite")[0]  # the convolution that both branches read
    assert _top(_outputs(tmp_path / "int8.tflite")[0]) < 0.7 * largest[first["index"]][1]
    assert _top(_outputs(shared.int8)[0]) == pytest.approx(largest[first["index"]][1], rel=1e-5)
    apart, joined = (float(np.abs(shared.error(path)).mean()) for path in (tmp_path / "int8.tflite", shared.int8))
    assert joined < 0.5 * apart, f"mean |Δ logit| {joined} joined, {apart} apart"


def test_joined_ranges_are_the_union_and_leave_all_others(shared: Shared, tmp_path: Path) -> None:
    ranges = tflite_file.ranges_of(shared.calibrated)
    shrunk = {index: (low, high / (index + 1)) for index, (low, high) in ranges.items()}
    tflite_file.set_ranges(shared.calibrated, shrunk, tmp_path / "shrunk.tflite")
    tflite_file.join_ranges(tmp_path / "shrunk.tflite", tmp_path / "joined.tflite")
    found = tflite_file.ranges_of(tmp_path / "joined.tflite")
    tied = [detail["index"] for detail in _outputs(shared.calibrated)[:4]]
    assert set(tied) <= ranges.keys()  # two convolutions, the average pooling and the concatenation
    union = min(shrunk[i][0] for i in tied), max(shrunk[i][1] for i in tied)
    for index, pair in found.items():
        assert pair == pytest.approx(union if index in tied else shrunk[index]), index


def test_the_error_is_taken_out_of_the_last_bias_and_nothing_else_changes(shared: Shared, tmp_path: Path) -> None:
    error = np.array([0.25, -0.5], dtype=np.float32)
    tflite_file.subtract_from_last_bias(shared.calibrated, error, tmp_path / "out.tflite")
    before, after = (logits(path, shared.tensors) for path in (shared.calibrated, tmp_path / "out.tflite"))
    np.testing.assert_allclose(after - before, np.broadcast_to(-error, before.shape), atol=1e-6)


def test_a_corrected_int8_file_has_a_smaller_mean_error_and_leaves_no_scratch(shared: Shared, tmp_path: Path) -> None:
    error = shared.error(shared.int8).mean(axis=0)
    np.save(tmp_path / "error.npy", error)
    how = Quantisation(bias_corrected=True)
    convert(to_tflite.write_quantised, shared.calibrated, tmp_path / "error.npy", "", how, tmp_path / "out.tflite")
    found = shared.error(tmp_path / "out.tflite").mean(axis=0)
    assert np.abs(found).max() < 0.5 * np.abs(error).max(), (found, error)
    assert {path.name for path in tmp_path.iterdir()} == {"error.npy", "out.tflite"}


def test_without_a_bias_for_each_logit_there_is_nothing_to_correct(shared: Shared, tmp_path: Path) -> None:
    branches(bias=False).save(tmp_path / "bare.keras")
    convert(to_tflite.write_float32, tmp_path / "bare.keras", tmp_path / "bare.tflite")
    for path, count in ((tmp_path / "bare.tflite", 2), (shared.calibrated, 3)):
        with pytest.raises(ConversionError, match="the last operator has no bias for each logit"):
            tflite_file.subtract_from_last_bias(path, np.zeros(count, np.float32), tmp_path / "out.tflite")
    assert not (tmp_path / "out.tflite").exists()


def test_percentiles_cut_off_one_outlier_and_keep_the_bulk(shared: Shared, tmp_path: Path) -> None:
    tensors = np.random.default_rng(7).random((600, 8, 8, 3), dtype=np.float32)  # 115 200 values
    tensors[300, 4, 4, 1] = OUTLIER
    np.save(tmp_path / "tensors.npy", tensors)
    taken = _opened(shared.calibrated).get_input_details()[0]["index"]
    tflite_file.set_ranges(shared.calibrated, {taken: (0.0, OUTLIER)}, tmp_path / "extremes.tflite")
    convert(
        tflite_layers.write_percentiles,
        *(tmp_path / name for name in ("extremes.tflite", "tensors.npy", "percentiles.tflite")),
    )
    before, after = (tflite_file.ranges_of(tmp_path / f"{name}.tflite") for name in ("extremes", "percentiles"))
    low, high = after[taken]
    width = OUTLIER / 4096  # of a bin of the histogram
    assert np.quantile(tensors, 0.9999) <= high <= 1.0 + 2 * width
    assert 0.0 <= low <= np.quantile(tensors, 1e-5) + width
    assert before.keys() == after.keys()
    for index, (least, most) in after.items():
        assert before[index][0] - 1e-6 <= least < most <= before[index][1] + 1e-6, index


def test_layers_are_named_as_in_the_calibrated_file_the_most_hurt_first(shared: Shared, layers: Path) -> None:
    names, errors = zip(*FloatLayerNames.read(layers).hurt, strict=True)
    assert set(names) <= tflite_file.names_of(shared.calibrated)
    assert len(set(names)) == len(names) == len(_outputs(shared.calibrated))
    assert list(errors) == sorted(errors, reverse=True)
    assert 0.0 <= errors[-1] < errors[0] < 4.0  # in int8 steps; rounding alone gives .29


def test_one_layer_in_float32_is_the_most_hurt_one_and_no_other(shared: Shared, layers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    convert(to_tflite.write_quantised, shared.calibrated, "", layers, Quantisation(float_layers=1), out)
    hurt = FloatLayerNames.read(layers).hurt[0][0]
    kept = [detail["dtype"] is np.float32 for detail in _outputs(out)]
    assert kept == [detail["name"] == hurt for detail in _outputs(shared.calibrated)]
    assert sum(kept) == 1
    assert out.stat().st_size > shared.int8.stat().st_size
    assert {_opened(out).get_input_details()[0]["dtype"], _opened(out).get_output_details()[0]["dtype"]} == {np.int8}


def test_the_last_layers_in_float32_are_pooling_and_the_dense_one_and_give_logits_as_they_are(
    shared: Shared, layers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.tflite"
    convert(to_tflite.write_quantised, shared.calibrated, "", layers, Quantisation(float_last=True), out)
    assert operators(shared.calibrated)[-2:] == ["MEAN", "FULLY_CONNECTED"]
    kept = [detail["dtype"] is np.float32 for detail in _outputs(out)]
    assert kept == [False] * (len(kept) - 2) + [True] * 2
    opened = _opened(out)
    assert opened.get_input_details()[0]["dtype"] is np.int8
    assert opened.get_output_details()[0]["dtype"] is np.float32


def test_with_both_ends_in_float32_only_what_lies_between_is_int8(shared: Shared, layers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    how = Quantisation(float_first=3, float_last=True)
    convert(to_tflite.write_quantised, shared.calibrated, "", layers, how, out)
    assert operators(shared.calibrated)[:5] == ["CONV_2D", "AVERAGE_POOL_2D", "CONV_2D", "CONCATENATION", "CONV_2D"]
    assert [detail["dtype"] for detail in _outputs(out)] == [np.float32] * 7
    assert _opened(out).get_input_details()[0]["dtype"] is np.float32
    np.testing.assert_allclose(logits(out, shared.tensors), shared.expected, atol=1e-5)


def test_a_spec_that_is_embedded_again_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    shutil.copy(COMMITTED / "model.int8.tflite", path)
    spec = read_embedded(path.read_bytes(), Format.TFLITE, "model")
    newer = replace(spec, version="9.0.0")
    before = path.stat().st_size
    for _ in range(3):
        tflite_file.embed(path, newer)
    assert read_embedded(path.read_bytes(), Format.TFLITE, "model") == newer
    assert abs(path.stat().st_size - before) < 64
