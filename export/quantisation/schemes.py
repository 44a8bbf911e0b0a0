"""How a network is quantised to int8, and the order in which ways are tried."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class Ranges(enum.Enum):
    """Where a tensor's int8 range ends, of the values seen on the calibration images."""

    EXTREMES = "extremes"  # at the smallest and the largest value
    PERCENTILE = "percentile"  # at .001 and 99.999 %: a few outliers are cut off, all other steps become finer


PERCENTILE = 99.999


@dataclass(frozen=True)
class Quantisation:
    """One way of quantising.

    Attributes:
        ranges: of activations.
        bias_corrected: the mean error of the logits on the calibration images is taken out of the last bias
            (bias correction: Nagel et al. 2019, Data-Free Quantization, ICCV, for the last layer alone).
        float_layers: how many layers, of those that quantisation hurts most, stay float32.
        float_last: the layer that computes the logits stays float32, and so do they
            (:mod:`export.quantisation.float_endpoints`).
        float_first: so many convolutions from the image on stay float32, with what precedes each.
    """

    ranges: Ranges = Ranges.EXTREMES
    bias_corrected: bool = False
    float_layers: int = 0
    float_last: bool = False
    float_first: int = 0

    def text(self) -> str:
        """Say in words what is done."""
        words = ["int8", "ranges to the extremes" if self.ranges is Ranges.EXTREMES else f"ranges to {PERCENTILE} %"]
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
        """Whether some layers stay float32."""
        return bool(self.float_layers or self.float_last or self.float_first)


@dataclass(frozen=True)
class FloatLayerNames:
    """Names of the layers of a model file that a way of quantising may keep in float32.

    Attributes:
        hurt: name and int8 error, the most hurt first.
        first: up to each convolution, from the image on.
        last: what computes the logits.
    """

    hurt: Sequence[tuple[str, float]]
    first: Sequence[Sequence[str]]
    last: Sequence[str]

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(vars(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> FloatLayerNames:
        """Read what :meth:`write` wrote."""
        return cls(**json.loads(path.read_text()))

    def kept(self, how: Quantisation) -> list[str]:
        """Return the names of the layers that stay float32."""
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
"""Tried in this order until one passes, by and large from the smallest file to the slowest.

Activations of 16 bits are no way: LiteRT has no fast kernels for them (50 times float32's time), and onnxruntime
multiplies them in float32.
"""
