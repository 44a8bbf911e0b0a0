"""A spec's steps against ``preprocess_input`` of keras.applications, bit for bit; and tables for int8 files."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import FORMAT, open_model
from edge_runtime.preprocessing.preprocessor import Preprocessor, look_up, preprocess
from edge_runtime.preprocessing.steps import Step
from edge_runtime.serialisation.records import from_dict
from tests.benchmarks.system_4 import BUNDLE

CAFFE = [{"kind": "normalize", "mean": [103.939, 116.779, 123.68], "std": [1, 1, 1]}]
TORCH = [
    {"kind": "scale", "divisor": 255, "offset": 0},
    {"kind": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
]
TF = [{"kind": "scale", "divisor": 127.5, "offset": -1}]
AS_IS: list[dict[str, object]] = []
FAMILIES = {
    **dict.fromkeys(("vgg16", "vgg19", "resnet"), ("bgr", CAFFE)),
    "densenet": ("rgb", TORCH),
    **dict.fromkeys(("mobilenet", "mobilenet_v2", "xception", "inception_v3", "inception_resnet_v2"), ("rgb", TF)),
    **dict.fromkeys(("resnet_v2", "nasnet"), ("rgb", TF)),
    **dict.fromkeys(("efficientnet", "efficientnet_v2", "convnext", "mobilenet_v3"), ("rgb", AS_IS)),
}


def _steps(order: str, last: list[dict[str, object]], result: str, interpolation: str) -> tuple[Step, ...]:
    resize = {"kind": "resize", "width_px": 40, "height_px": 30, "interpolation": interpolation, "result": result}
    plain = {
        **{"name": "x", "version": "1.0.0", "summary": "x", "labels": ["a", "b"], "positive": ["b"], "head": "softmax"},
        "policy": {"cutoff": 0.5, "confidence_floor": 0.0},
        "steps": [{"kind": "colour", "order": order}, resize, *last],
    }
    return from_dict(ModelSpec, plain).steps


def _image() -> DecodedImage:
    return read(np.random.default_rng(3).integers(0, 256, (51, 67, 3), dtype=np.uint8))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("result", "interpolation"), [("uint8", "linear_exact"), ("float32", "linear")])
def test_the_steps_of_the_docs_are_what_keras_does(family: str, result: str, interpolation: str) -> None:
    order, last = FAMILIES[family]
    rgb = preprocess(_image(), _steps("rgb", [], result, interpolation))
    expected = getattr(keras.applications, family).preprocess_input(rgb.copy())
    found = preprocess(_image(), _steps(order, last, result, interpolation))
    assert found.dtype == expected.dtype == np.float32
    assert np.array_equal(found, expected), f"worst {np.abs(found - expected).max()}"


@pytest.mark.parametrize("runtime", [Runtime.LITERT, Runtime.ONNXRUNTIME])
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("family", ["vgg16", "densenet"])
def test_a_table_of_each_channel_is_quantising_every_pixel(runtime: Runtime, precision: str, family: str) -> None:
    """The bundle's network is another one; what counts is that both ways give it the same input, and so the bits."""
    backend = open_model(
        (Path(find(BUNDLE).where) / f"model.{precision}.{FORMAT[runtime].value}").read_bytes(), runtime
    )
    order, last = FAMILIES[family]
    preprocessor = Preprocessor(_steps(order, last, "uint8", "linear_exact"))
    assert preprocessor.values is not None
    levels = np.random.default_rng(4).integers(0, 256, (3, 50, 50, 3), dtype=np.uint8)
    flipped = levels[..., ::-1] if order == "bgr" else levels
    tensors = getattr(keras.applications, family).preprocess_input(flipped.astype(np.float32))
    taken = look_up(levels, backend.quantise(preprocessor.values))
    assert taken.dtype == backend.quantise(tensors).dtype
    assert np.array_equal(taken, backend.quantise(tensors))
    assert np.array_equal(backend.run(taken), backend.run(np.ascontiguousarray(tensors)))
