"""What every interpreter does here: float32 tensors in, float32 logits out, int8 hidden inside."""

from __future__ import annotations

import enum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Runtime(enum.Enum):
    """The interpreters; ``AUTO`` takes the first of the others that is installed and fits the model."""

    AUTO = "auto"
    LITERT = "litert"
    TFLITE = "tflite"
    ONNXRUNTIME = "onnxruntime"


class Provider(enum.Enum):
    """What onnxruntime computes with; the other interpreters have the processor alone.

    Parity and guard bands are measured on the processor. Other arithmetic rounds otherwise: nothing here takes it
    unless it is asked for, and every answer names it.
    """

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


class Backend(Protocol):
    """An opened model. Calls from several threads take turns.

    Attributes:
        version: of the interpreter's package.
    """

    runtime: Runtime
    version: str

    def quantise(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return float32 values of any shape as the network's input takes them: int8 levels, or as they are."""

    def run(self, tensors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the logits, float32 N×outputs, of prepared images, N×H×W×C.

        Images are run one by one, so that an answer never depends on its neighbours.

        Args:
            tensors: float32, or what :meth:`quantise` made of it.

        Raises:
            BackendError: the tensors do not have the model's input shape.
        """

    def outputs(self, tensor: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], ...]:
        """Return everything that a float32 file hands out for one image, 1×H×W×C: its logits, and what follows.

        What follows the logits serves heatmaps (:mod:`edge_runtime.explain.class_activation`): the last feature map,
        h×w×C, and the values of hidden layers, (units,). Nothing follows in files of bundles without heatmaps.

        Raises:
            BackendError: as :meth:`run`.
        """

    def close(self) -> None:
        """Release the interpreter; ``run`` and ``outputs`` fail afterwards."""
