"""Quantisation schemes for int8, and the order in which they are tried."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.bundle.manifest import Format


class Ranges(enum.Enum):
    """How the ends of a tensor's int8 range follow from its values on the calibration images."""

    EXTREMES = "extremes"  # smallest and largest value
    PERCENTILE = "percentile"  # 0.001 % and 99.999 %: outliers are clipped, and the step becomes finer


PERCENTILE = 99.999


class Quantiser(enum.Enum):
    """Whose quantiser makes an int8 file; the values name its recipe in bundles and model cards."""

    CONVERTER = "the converter's"  # TensorFlow's for TFLite, onnxruntime's for ONNX
    AI_EDGE = "ai-edge-quantizer static_wi8_ai8"  # its own calibration: moving averages of the extremes
    AI_EDGE_EXTREMES = "ai-edge-quantizer static_wi8_ai8, ranges to the extremes"
    AI_EDGE_MSE = "ai-edge-quantizer static_wi8_ai8, ranges to the extremes, weights by least squares"


@dataclass(frozen=True)
class Quantisation:
    """One quantisation scheme.

    Attributes:
        ranges: how the ranges of activations are chosen.
        bias_corrected: whether the mean error of the logits on the calibration images is subtracted from the last bias
            (bias correction: Nagel et al. 2019, Data-Free Quantization, ICCV, here for the last layer only).
        float_layers: number of layers, those with the largest int8 error, that stay float32.
        float_last: whether the layer that computes the logits, and the logits, stay float32
            (:mod:`export.quantisation.float_endpoints`).
        float_first: number of convolutions, counted from the image, that stay float32 with the layers before each.
        quantiser: whose quantiser and calibration are used.
        seven_bits: whether weights have 7 instead of 8 bits, onnxruntime's ``reduce_range``.
    """

    ranges: Ranges = Ranges.EXTREMES
    bias_corrected: bool = False
    float_layers: int = 0
    float_last: bool = False
    float_first: int = 0
    quantiser: Quantiser = Quantiser.CONVERTER
    seven_bits: bool = False

    def text(self) -> str:
        """Return the name of the scheme; it is written to bundles and model cards."""
        if self.quantiser is not Quantiser.CONVERTER:
            return f"int8, {self.quantiser.value}"
        words = ["int8", "ranges to the extremes" if self.ranges is Ranges.EXTREMES else f"ranges to {PERCENTILE} %"]
        if self.seven_bits:
            words.append("weights in 7 bits")
        if self.bias_corrected:
            words.append("last bias corrected")
        if self.float_layers:
            words.append(f"{self.float_layers} layers in float32")
        if self.float_first:
            words.append(f"first {self.float_first} layers in float32")
        if self.float_last:
            words.append("last layer in float32")
        return ", ".join(words)

    @property
    def keeps_layers(self) -> bool:
        """Whether any layer stays float32."""
        return bool(self.float_layers or self.float_last or self.float_first)


@dataclass(frozen=True)
class FloatLayerNames:
    """Names of the layers of a model file that a scheme may keep in float32.

    Attributes:
        hurt: name and int8 error of each layer, largest error first.
        first: groups of layers up to each convolution, counted from the image.
        last: layers that compute the logits.
    """

    hurt: Sequence[tuple[str, float]]
    first: Sequence[Sequence[str]]
    last: Sequence[str]

    def write(self, path: Path) -> None:
        """Write the fields as JSON."""
        path.write_text(json.dumps(vars(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> FloatLayerNames:
        """Read a file that :meth:`write` wrote."""
        return cls(**json.loads(path.read_text()))

    def kept(self, how: Quantisation) -> list[str]:
        """Return the names of the layers that stay float32 in the scheme ``how``."""
        names = [name for name, _ in self.hurt[: how.float_layers]]
        names += [name for part in self.first[: how.float_first] for name in part]
        names += self.last if how.float_last else ()
        return list(dict.fromkeys(names))


LADDER = (
    Quantisation(),
    Quantisation(bias_corrected=True),
    Quantisation(Ranges.PERCENTILE, bias_corrected=True),
    Quantisation(bias_corrected=True, float_last=True),
    Quantisation(bias_corrected=True, float_layers=1),
    Quantisation(bias_corrected=True, float_layers=3),
    Quantisation(bias_corrected=True, float_last=True, float_first=3),
    Quantisation(bias_corrected=True, float_last=True, float_first=6),
    Quantisation(bias_corrected=True, float_layers=8),
)
"""Schemes in the order tried until one passes, roughly from the smallest and fastest file to the largest and slowest.

16-bit activations are not included: LiteRT has no fast kernels for them (50 times the time of float32), and
onnxruntime multiplies them in float32.
"""

PEERS = {
    Format.TFLITE: (
        Quantisation(quantiser=Quantiser.AI_EDGE_EXTREMES),
        Quantisation(quantiser=Quantiser.AI_EDGE_MSE),
        Quantisation(quantiser=Quantiser.AI_EDGE),
    ),
    Format.ONNX: (
        Quantisation(bias_corrected=True, seven_bits=True),
        Quantisation(bias_corrected=True, float_last=True, seven_bits=True),
    ),
}
"""Other quantisers and settings, tried after :data:`LADDER`: always if none of it passes, on request otherwise."""


def is_peer(how: str) -> bool:
    """Return whether ``how`` is the text of one of :data:`PEERS`."""
    return any(
        how in (peer.text(), replace(peer, bias_corrected=False).text()) for row in PEERS.values() for peer in row
    )
