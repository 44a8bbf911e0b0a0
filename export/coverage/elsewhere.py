"""Write the files of other releases of TensorFlow, with a Python in which they are installed.

That Python runs this file as a script, beside ``settling.py``: ``python elsewhere.py KIND OUT``. So it imports nothing
of this project but that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

KINDS = ("plain", "layers", "nested", "sequential", "mixed_float16", "any size")
"""The networks that are written."""


def write_elsewhere(python: Path, kind: str, out: Path) -> None:
    """Let another Python write a network.

    Args:
        kind: one of :data:`KINDS`.
        out: ``.h5`` or ``.keras`` file, or folder of a SavedModel.

    Raises:
        RuntimeError: it failed; the message is the end of its output.
    """
    command = [str(python.absolute()), __file__, kind, str(out)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-400:])


def release(python: Path) -> str:
    """Return the release of a Python's TensorFlow, for example ``2.15``; empty if it has none."""
    done = subprocess.run([str(python.absolute()), "-c", _RELEASE], capture_output=True, text=True, check=False)
    return ".".join(done.stdout.split(".")[:2])


_RELEASE = """\
from importlib import metadata
for name in ("tensorflow-cpu", "tensorflow"):
    try:
        print(metadata.version(name))
        break
    except metadata.PackageNotFoundError:
        continue
"""


def _network(keras: Any, kind: str) -> Any:
    layers = keras.layers
    if kind == "sequential":
        return keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                layers.Conv2D(64, 3, strides=2, activation="relu"),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(64, activation="relu"),
                layers.Dense(2, activation="softmax"),
            ]
        )
    side = None if kind == "any size" else 32
    image = keras.Input((side, side, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(image)
    if kind == "layers":
        x = layers.SeparableConv2D(32, 3, padding="same")(layers.DepthwiseConv2D(3, padding="same")(x))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(32, 3, strides=2)(x)))
        x = layers.Dropout(0.2)(layers.Activation("swish")(x))
    if kind == "nested":
        taken = keras.Input((16, 16, 32))
        x = keras.Model(taken, layers.BatchNormalization()(layers.Conv2D(32, 3, activation="relu")(taken)))(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(64, 3, strides=2, activation="relu")(x))
    return keras.Model(image, layers.Dense(2, activation="softmax", dtype="float32")(x))


def _main(kind: str, out: str) -> None:
    import numpy as np
    import tensorflow as tf
    from settling import SIDE, drawn, settle  # type: ignore[import-not-found]  # it is beside this script

    keras = tf.keras
    keras.utils.set_random_seed(1)
    if kind == "mixed_float16":
        keras.mixed_precision.set_global_policy(kind)
    model = _network(keras, kind)
    settle(keras, model, drawn(40, SIDE, seed=3).astype(np.float32) / 255.0)
    if out.endswith((".h5", ".keras")) or tf.__version__.startswith("2.15"):
        model.save(out)
    else:
        model.export(out)


if __name__ == "__main__":
    _main(*sys.argv[1:])
