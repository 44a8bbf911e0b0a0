"""The interface of all backends: float32 tensors in, float32 logits out. Quantisation to int8 is internal."""

from __future__ import annotations

import enum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

MOMENTS = "edge_feature_moments"
"""Name of the output with moments of a feature map: each channel's mean, then each channel's mean of squares, float32
(:mod:`edge_runtime.ood.network_features`)."""


class Runtime(enum.Enum):
    """The interpreters. ``AUTO`` selects the first one that is installed and can read the model's format."""

    AUTO = "auto"
    LITERT = "litert"
    TFLITE = "tflite"
    ONNXRUNTIME = "onnxruntime"


class Provider(enum.Enum):
    """The devices that onnxruntime can compute on. The other interpreters only use the processor.

    Parity and guard bands are measured on the processor, and other devices round differently. They are therefore used
    only on request, and each prediction names the device.
    """

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


class Backend(Protocol):
    """An opened model. Calls from several threads are serialised.

    Attributes:
        runtime: the interpreter.
        version: version of the interpreter's package.
    """

    runtime: Runtime
    version: str

    def quantise(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return float32 values of any shape in the type of the network's input: quantised integers, or unchanged."""

    def run(self, tensors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the logits, float32 N×outputs, of preprocessed images, N×H×W×C.

        Images are run one by one, so that a result never depends on the other images.

        Args:
            tensors: float32, or the output of :meth:`quantise`.

        Raises:
            BackendError: the tensors do not have the model's input shape.
        """

    def run_with_moments(
        self, tensors: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Return logits, and moments of a feature map, float32 N×2C: the output :data:`MOMENTS`.

        The moments are None for a file without that output.

        Raises:
            BackendError: as in :meth:`run`.
        """

    def outputs(self, tensor: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], ...]:
        """Return the outputs of a float32 file for one image, 1×H×W×C, the logits (outputs,) first, without moments.

        The other outputs are for heatmaps (:mod:`edge_runtime.explain.class_activation`): the last feature map, h×w×C,
        and the values of hidden layers, (units,). Bundles without heatmaps have only the logits.

        Raises:
            BackendError: as in :meth:`run`.
        """

    def close(self) -> None:
        """Release the interpreter. Afterwards ``run`` and ``outputs`` raise BackendError."""
