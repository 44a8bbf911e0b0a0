"""How a network is quantised to int8, and the order in which ways are tried."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Ranges(enum.Enum):
    """Where a tensor's int8 range ends, of the values seen on the calibration pictures."""

    EXTREMES = "extremes"  # at the smallest and the largest value
    PERCENTILE = "percentile"  # at .001 and 99.999 %: a few outliers are cut off, all other steps become finer


PERCENTILE = 99.999


@dataclass(frozen=True)
class Quantisation:
    """One way of quantising.

    Attributes:
        ranges: of activations.
        bias_corrected: the mean error of the logits on the calibration pictures is taken out of the last bias
            (bias correction: Nagel et al. 2019, Data-Free Quantization, ICCV, for the last layer alone).
        float_layers: how many layers, of those that quantisation hurts most, stay float32.
        wide_activations: 16 bits for activations, 8 for weights.
    """

    ranges: Ranges = Ranges.EXTREMES
    bias_corrected: bool = False
    float_layers: int = 0
    wide_activations: bool = False

    def text(self) -> str:
        """Say in words what is done."""
        words = ["int8" if not self.wide_activations else "int8 weights, 16-bit activations"]
        words.append("ranges to the extremes" if self.ranges is Ranges.EXTREMES else f"ranges to {PERCENTILE} %")
        if self.bias_corrected:
            words.append("last bias corrected")
        if self.float_layers:
            words.append(f"{self.float_layers} layers in float32")
        return ", ".join(words)


LADDER = (
    Quantisation(),
    Quantisation(bias_corrected=True),
    Quantisation(Ranges.PERCENTILE, bias_corrected=True),
    Quantisation(bias_corrected=True, float_layers=1),
    Quantisation(bias_corrected=True, float_layers=3),
    Quantisation(bias_corrected=True, float_layers=8),
    Quantisation(wide_activations=True),
)
"""Tried in this order until one passes: each costs more time or space on the device than the one before."""
