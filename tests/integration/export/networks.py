"""Tiny networks for tests of quantising, and converters called in this process without their warnings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import open_model

Floats = npt.NDArray[np.float32]

SIDE = 8


def dots(count: int, seed: int) -> Floats:
    """Return dark images with a few bright dots, float32 N×8×8×3 in 0..1: averages lie far below the extremes."""
    rng = np.random.default_rng(seed)
    bright = rng.random((count, SIDE, SIDE, 1)) < 0.05
    return np.asarray(rng.random((count, SIDE, SIDE, 3)) * np.where(bright, 1.0, 0.05), dtype=np.float32)


def branches(*, bias: bool = True) -> Any:
    """Return a network in which averages and the values that they are the averages of meet in one concatenation."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    strided = layers.Conv2D(4, 3, strides=4, padding="same", activation="relu")(x)
    x = layers.Concatenate()([layers.AveragePooling2D(4)(x), strided])
    x = layers.Conv2D(4, 2, activation="relu", bias_initializer="random_normal")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, use_bias=bias, bias_initializer="random_normal")(x))


def convert(job: Callable[..., None], *args: Any) -> None:
    """Call a conversion here: a process of its own would load TensorFlow once for each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job(*(str(arg) if isinstance(arg, Path) else arg for arg in args))


def logits(path: Path, tensors: Floats) -> Floats:
    """Run a model file."""
    runtime = Runtime.LITERT if path.suffix == ".tflite" else Runtime.ONNXRUNTIME
    return open_model(path.read_bytes(), runtime).run(tensors)


def operators(path: Path) -> list[str]:
    """Name the operators of a .tflite file, in their order."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return [names[model.operatorCodes[each.opcodeIndex].builtinCode] for each in model.subgraphs[0].operators]


def without_weights(kind: type[np.generic]) -> Callable[[Path], None]:
    """Return a converter's fault that nothing tells: a sound ONNX graph whose weights of this type are all zero."""

    def zeroed(path: Path) -> None:
        import onnx

        model = onnx.load(path)
        for tensor in model.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if values.dtype == kind:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros_like(values), tensor.name))
        onnx.save(model, path)

    return zeroed
