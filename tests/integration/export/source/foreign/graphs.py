"""ONNX graphs as exporters write them, and a spec and images to go with them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import from_json
from tests.places import ROOT

SIDE = 16
LABELS = ("benign", "malignant", "normal")
_DOCS = (ROOT / "docs" / "reference" / "spec.md").read_text(encoding="utf-8")
_EXAMPLE = json.loads(re.findall(r"```json\n(.*?)```", _DOCS, flags=re.DOTALL)[0])


def spec(**changed: Any) -> ModelSpec:
    plain = json.loads(json.dumps(_EXAMPLE)) | {"min_side_px": 8, "labels": list(LABELS), "positive": ["malignant"]}
    plain["steps"][1] |= {"width_px": SIDE, "height_px": SIDE}
    plain["tolerance"] = {"int8_score_mean": 0.1, "int8_flips_per_1000": 200}
    return from_json(ModelSpec, json.dumps(plain | {"head": "softmax"} | changed).encode(), "spec")


def images(folder: Path, seed: int, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        coarse = np.random.default_rng([seed, i]).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(folder / f"{i:03}.png")
    return folder


def tensors(count: int = 8) -> Any:
    return np.random.default_rng(5).uniform(-1, 1, (count, SIDE, SIDE, 3)).astype(np.float32)


def torch_like(
    path: Path, *, end: str = "", opset: int = 17, batch: Any = "batch_size", external: bool = False, two: bool = False
) -> Path:
    """Write the graph that PyTorch's exporter writes for convolutions, pooling and a linear layer: N×C×H×W."""
    rng = np.random.default_rng(3)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        values = rng.normal(0, 2 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    bias = numpy_helper.from_array(rng.normal(0, 0.1, 8).astype(np.float32), "f.0.bias")
    constants = [
        weights("f.0.weight", 8, 3, 3, 3),
        bias,
        weights("f.2.weight", 64, 8, 3, 3),
        weights("h.weight", 3, 64),
    ]
    constants.append(numpy_helper.from_array(np.array([0.1, -0.1, 0.0], np.float32), "h.bias"))
    nodes = [
        helper.make_node("Conv", ["input.1", "f.0.weight", "f.0.bias"], ["/f/0/out"], "/f/0/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["/f/0/out"], ["/f/1/out"], "/f/1/Relu"),
        helper.make_node("Conv", ["/f/1/out", "f.2.weight"], ["/f/2/out"], "/f/2/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["/f/2/out"], ["/f/3/out"], "/f/3/Relu"),
        helper.make_node("GlobalAveragePool", ["/f/3/out"], ["/f/4/out"], "/f/4/GlobalAveragePool"),
        helper.make_node("Flatten", ["/f/4/out"], ["/f/5/out"], "/f/5/Flatten", axis=1),
        helper.make_node("Gemm", ["/f/5/out", "h.weight", "h.bias"], ["logits"], "/h/Gemm", transB=1),
    ]
    last = "logits"
    if end:
        nodes.append(
            helper.make_node(end, [last], ["scores"], f"/end/{end}", **({} if end == "Sigmoid" else {"axis": 1}))
        )
        last = "scores"
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, 3])]
    if two:
        outputs.append(helper.make_tensor_value_info("/f/5/out", TensorProto.FLOAT, [batch, 64]))
    image = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "main_graph", [image], outputs, constants)
    model = helper.make_model(
        graph, producer_name="pytorch", opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    )
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path


def scikit_like(path: Path, labels: int = 3) -> Path:
    """Write the graph that skl2onnx writes for a scaler and a logistic regression: one row in, label and ZipMap out."""
    size, rng = SIDE * SIDE * 3, np.random.default_rng(4)
    weights = rng.normal(0, 0.1, (labels, size))
    if labels == 2:
        weights[0] = -weights[1]
    names = list(LABELS[:labels])
    ml = "ai.onnx.ml"
    nodes = [
        helper.make_node("Scaler", ["X"], ["variable"], "Scaler", domain=ml, offset=[0.1] * size, scale=[1.5] * size),
        helper.make_node(
            "LinearClassifier",
            ["variable"],
            ["label", "probability_tensor"],
            "LinearClassifier",
            domain=ml,
            coefficients=weights.ravel().tolist(),
            intercepts=[0.0] * labels,
            classlabels_strings=names,
            multi_class=int(labels > 2),
            post_transform="SOFTMAX" if labels > 2 else "LOGISTIC",
        ),
        helper.make_node("Identity", ["label"], ["output_label"], "Identity"),
        helper.make_node("Normalizer", ["probability_tensor"], ["probabilities"], "Normalizer", domain=ml, norm="L1"),
        helper.make_node(
            "ZipMap", ["probabilities"], ["output_probability"], "ZipMap", domain=ml, classlabels_strings=names
        ),
    ]
    mapped = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    outputs = [
        helper.make_tensor_value_info("output_label", TensorProto.STRING, [None]),
        helper.make_value_info("output_probability", helper.make_sequence_type_proto(mapped)),
    ]
    image = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, size])
    graph = helper.make_graph(nodes, "scikit", [image], outputs)
    sets = [helper.make_opsetid("", 21), helper.make_opsetid(ml, 1)]
    onnx.save(helper.make_model(graph, producer_name="skl2onnx", opset_imports=sets, ir_version=10), path)
    return path
