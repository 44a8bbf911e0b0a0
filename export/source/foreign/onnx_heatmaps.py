"""Heatmaps for a given ONNX classifier: its last feature map as a second output, and the matrix of its head.

The graph is cut at the last value with height, width and channels before its logits. What comes after is run alone. If
it is linear, as pooling and a dense layer are, Grad-CAM needs one number for each channel and logit: how much the logit
grows if the channel grows everywhere, divided by the number of places. It is measured, so that no layer need be known.
Otherwise the method is Eigen-CAM, which needs no head.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, shape_inference
from onnx.utils import Extractor

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.saliency import Method, Saliency
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.explain.class_activation import to_npz
from edge_runtime.serialisation.records import to_dict
from export.converters.onnx_names import INPUT, MORE, OUTPUT
from export.source.foreign.onnx_graph import taken_by
from export.source.stored_tensors import StoredTensors

Floats = npt.NDArray[np.float32]

FEATURES = f"{MORE}_1"
"""Name of the second output, N×h×w×C."""

_LINEAR = 1e-3
"""Largest error of superposition, relative to the logits, of a head that counts as linear."""

_MOST_CHANNELS = 4096
_CHANNELS_SECOND = ("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "GlobalAveragePool", "MaxPool")
_KEEPING = (
    *("Add", "Cast", "Clip", "Concat", "Div", "Dropout", "Elu", "Erf", "HardSigmoid", "HardSwish", "Identity"),
    *("LeakyRelu", "Max", "Min", "Mul", "PRelu", "Pad", "Pow", "Relu", "Resize", "Selu", "Sigmoid", "Softplus"),
    *("Sqrt", "Sub", "Tanh"),
)
_TURNED: dict[tuple[bool | None, tuple[int, ...]], bool] = {(False, (0, 2, 3, 1)): True, (True, (0, 3, 1, 2)): False}
"""Whether channels were last, and the order of a Transpose → whether they are last after it."""


@dataclass(frozen=True)
class _Cut:
    """The value at which a graph is cut.

    Attributes:
        name: name of the value.
        grid: its height, width and channels.
        last: whether channels are its last axis, otherwise its second.
    """

    name: str
    grid: tuple[int, int, int]
    last: bool

    def of(self, grids: Floats) -> Floats:
        """Return N×h×w×C in the order of the graph."""
        return grids if self.last else np.ascontiguousarray(grids.transpose(0, 3, 1, 2))


def write_explained(
    network: str, tensors: str, labels: str, spec: ModelSpec, out: str, record: str, weights: str, maps: str
) -> None:
    """Write what :class:`export.validation.heatmaps.HeatmapReference` holds, each part to its own file."""
    model, images = onnx.load(network), StoredTensors(tensors)
    cut = _last_map(model)
    if cut is None:
        why = "no value with height, width and channels lies alone between its image and its logits"
        np.save(maps, np.zeros((len(images), 0, 0), np.float32))
        Path(record).write_text(json.dumps(to_dict(Saliency(Method.NONE, why))), encoding="utf-8")
        return
    explained = _with_map(model, cut)
    onnx.save(explained, out)
    ending = Extractor(shape_inference.infer_shapes(model)).extract_model([cut.name], [OUTPUT])
    head = _Run(ending.SerializeToString(), cut.name)
    features = _maps_of(explained, images)
    matrix = _matrix(head, cut)
    if cut.grid[2] <= _MOST_CHANNELS and _is_linear(head, cut, features):
        saliency = Saliency(Method.GRAD_CAM, "", cut.name, cut.grid)
        Path(weights).write_bytes(to_npz((matrix,)))
        drawn = _grad_cams(features, matrix, np.load(labels), spec.head)
    else:
        saliency = Saliency(Method.EIGEN_CAM, "its head is not linear in its last feature map", cut.name, cut.grid)
        drawn = _eigen_cams(features)
    np.save(maps, drawn)
    Path(record).write_text(json.dumps(to_dict(saliency)), encoding="utf-8")


def _last_map(model: onnx.ModelProto) -> _Cut | None:
    """Return the last value with more than one place through which all paths from the image to the logits go."""
    graph = shape_inference.infer_shapes(model).graph
    made = {name: node for node in graph.node for name in node.output}
    shapes = {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim) for value in graph.value_info
    }
    name = OUTPUT
    while name in made:
        shape, last = shapes.get(name, ()), _channels_last(made, name)
        if len(shape) == 4 and min(shape[1:]) > 0 and last is not None and not _needs_image(made, name):
            height, width, channels = shape[1:] if last else (*shape[2:], shape[1])
            if height * width > 1:
                return _Cut(name, (height, width, channels), last)
        name = next((taken for taken in made[name].input if _depends(made, taken)), "")
    return None


def _needs_image(made: dict[str, onnx.NodeProto], cut: str) -> bool:
    """Return whether the logits depend on the image by a way that avoids the value ``cut``."""
    return INPUT in _behind(made, OUTPUT, cut)


def _depends(made: dict[str, onnx.NodeProto], name: str) -> bool:
    return INPUT in _behind(made, name, "")


def _behind(made: dict[str, onnx.NodeProto], name: str, cut: str) -> set[str]:
    """Return all values that a value is computed from, itself included, without those behind ``cut``."""
    found, left = set[str](), [name]
    while left:
        each = left.pop()
        if each not in found and each != cut:
            found.add(each)
            left += taken_by(made[each]) if each in made else ()
    return found


def _channels_last(made: dict[str, onnx.NodeProto], name: str) -> bool | None:
    """Return whether the channels of a map are its last axis; None if it is no map, or the image itself.

    ONNX convolves and pools with channels second. Other operators keep the order of what they take.
    """
    while name in made:
        node = made[name]
        if node.op_type in _CHANNELS_SECOND:
            return False
        if node.op_type == "Transpose":
            inner = _channels_last(made, node.input[0])
            order = next((list(each.ints) for each in node.attribute), None)
            return _TURNED.get((inner, tuple(order or ())))
        if node.op_type not in _KEEPING:
            return None
        name = next((taken for taken in node.input if _depends(made, taken)), "")
    return None


def _with_map(model: onnx.ModelProto, cut: _Cut) -> onnx.ModelProto:
    """Return the graph with the map as its second output, channels last."""
    explained = onnx.ModelProto.FromString(model.SerializeToString())
    axes = [0, 1, 2, 3] if cut.last else [0, 2, 3, 1]
    explained.graph.node.append(helper.make_node("Transpose", [cut.name], [FEATURES], name=FEATURES, perm=axes))
    batch = explained.graph.output[0].type.tensor_type.shape.dim[0]
    shape = [batch.dim_param or batch.dim_value, *cut.grid]
    explained.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, shape))
    return explained


class _Run:
    """Runs a graph on one row at a time, because its batch size may be fixed."""

    def __init__(self, content: bytes, name: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._name = name

    def __call__(self, row: Floats, output: int = 0) -> npt.NDArray[np.float64]:
        return np.asarray(self._session.run(None, {self._name: row})[output][0], dtype=np.float64)


def _maps_of(explained: onnx.ModelProto, images: StoredTensors) -> Floats:
    run = _Run(explained.SerializeToString(), INPUT)
    return np.stack([run(image[np.newaxis], 1) for image in images.rows(0, len(images))]).astype(np.float32)


def _matrix(head: _Run, cut: _Cut) -> Floats:
    """Return the mean gradient of each logit over the places of each channel, float32 C×outputs."""
    height, width, channels = cut.grid
    blank = np.zeros((1, height, width, channels), np.float32)
    base = head(cut.of(blank))
    rows = []
    for channel in range(channels):
        raised = blank.copy()
        raised[..., channel] = 1.0
        rows.append((head(cut.of(raised)) - base) / (height * width))
    return np.stack(rows).astype(np.float32)


def _is_linear(head: _Run, cut: _Cut, features: Floats) -> bool:
    """Return whether the logits of sums and of multiples of maps are those of a linear head."""
    base = head(cut.of(np.zeros((1, *cut.grid), np.float32)))
    for first, second in _pairs(features):
        parts = [head(cut.of(part[np.newaxis])) - base for part in (first, second, 2 * first + second)]
        expected = 2 * parts[0] + parts[1]
        if np.abs(parts[2] - expected).max() > _LINEAR * max(1.0, float(np.abs(expected).max())):
            return False
    return True


def _pairs(features: Floats) -> Iterator[tuple[Floats, Floats]]:
    some = features[:8]
    return zip(some, np.roll(some, 1, axis=0), strict=True)


def _grad_cams(features: Floats, matrix: Floats, labels: npt.NDArray[np.int64], head: Head) -> Floats:
    """Return Grad-CAM, float32 N×h×w; of a single sigmoid, label 0 has the negated logit."""
    single = head is Head.SIGMOID
    columns = matrix[:, np.zeros_like(labels) if single else labels].astype(np.float64)
    columns = columns * np.where(labels == 1, 1.0, -1.0) if single else columns
    drawn: npt.NDArray[np.float64] = np.einsum("nhwc,cn->nhw", features.astype(np.float64), columns)
    return np.maximum(drawn, 0.0).astype(np.float32)


def _eigen_cams(features: Floats) -> Floats:
    """Return Eigen-CAM by a full singular value decomposition, float32 N×h×w."""
    drawn = []
    for each in features.astype(np.float64):
        rows = each.reshape(-1, each.shape[-1])
        projection = (rows @ np.linalg.svd(rows, full_matrices=False)[2][0]).reshape(each.shape[:2])
        drawn.append(np.maximum(projection if projection.sum() >= 0 else -projection, 0.0))
    return np.stack(drawn).astype(np.float32)
