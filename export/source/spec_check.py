"""Check that a spec matches a network; each error names one contradiction and its remedy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.preprocessing.steps import Interpolation, PixelType, Resize, ResizeShorter, Step
from export.errors import ExportError
from export.source.heads import FinalActivation

BEYOND = 1e-3
"""An output further outside 0..1 is not a probability; rounding errors are smaller."""

_HEADS = {
    FinalActivation.LOGITS: (Head.SOFTMAX, Head.SIGMOID, Head.INDEPENDENT_SIGMOIDS),
    FinalActivation.SOFTMAX: (Head.SOFTMAX,),
    FinalActivation.SIGMOID: (Head.SIGMOID, Head.INDEPENDENT_SIGMOIDS),
}


@dataclass(frozen=True)
class Network:
    """Inputs and outputs of a network.

    Attributes:
        where: its file or folder, for error messages.
        inputs, outputs: their names.
        taken, given: shapes of the first input and output, batch axis first; None is any size.
        dtype: type of the input.
    """

    where: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    taken: tuple[int | None, ...]
    given: tuple[int | None, ...]
    dtype: str


def check_shapes(network: Network, spec: ModelSpec) -> None:
    """Compare inputs and outputs with the spec's steps and labels.

    Raises:
        ExportError: network and spec contradict each other.
    """
    if len(network.inputs) != 1:
        raise ExportError(
            f"{network.where}: found {len(network.inputs)} inputs ({', '.join(network.inputs)}), expected one, the "
            "image. Save a keras.Model with that input alone."
        )
    if len(network.outputs) != 1:
        raise ExportError(
            f"{network.where}: found {len(network.outputs)} outputs ({', '.join(network.outputs)}), expected one, the "
            f"scores. Choose it, for example with --output {network.outputs[0]}."
        )
    if network.dtype != "float32":
        raise ExportError(
            f"{network.where}: found an input of {network.dtype}, expected float32. Save it with a float32 input."
        )
    if network.taken[0] is not None:
        raise ExportError(
            f"{network.where}: found a batch of {network.taken[0]} fixed, expected any (None). Build its Input "
            "without a batch size."
        )
    _check_image(network, spec)
    _check_labels(network, spec)


def _check_image(network: Network, spec: ModelSpec) -> None:
    """Compare the input shape with that of the spec's preprocessed images."""
    (width, height), found = spec.size_px, network.taken[1:]
    wanted = (height, width, spec.channels)
    if len(found) == 3 and all(side in (None, want) for side, want in zip(found, wanted, strict=True)):
        return
    first = f"{network.where}: found an input of {_shape(found)}, the spec's steps give {_shape(wanted)}"
    if len(found) == 3 and found[0] in (1, 3) and found[2] not in (1, 3):
        raise ExportError(
            f"{first} (height, width, channels): the network takes channels first. Put keras.layers.Permute((3, 1, 2)) "
            "before it, or build it with data_format channels_last."
        )
    raise ExportError(f"{first} (height, width, channels). Correct the resize and colour steps in the spec.")


def _check_labels(network: Network, spec: ModelSpec) -> None:
    """Compare the output shape with the labels and the head."""
    if len(network.given) != 2 or network.given[1] is None:
        raise ExportError(
            f"{network.where}: found an output of {_shape(network.given[1:])}, expected a row of {spec.outputs}. "
            "End the network with a pooling or Flatten and a Dense layer."
        )
    found = network.given[1]
    if found == spec.outputs or complements(network, spec):
        return
    remedy = "Give labels one for each output, in their order."
    if found == 1:
        remedy = "One output needs two labels: give two labels, the second positive, and head sigmoid."
    elif spec.head is Head.SIGMOID:
        remedy = "Head sigmoid is for one output; use softmax or independent_sigmoids."
    raise ExportError(
        f"{network.where}: found {found} outputs, expected {spec.outputs} for the {len(spec.labels)} labels "
        f"{', '.join(spec.labels)} and head {spec.head.value}. {remedy}"
    )


def processor_dependent(steps: tuple[Step, ...]) -> str:
    """Return a warning that names the steps whose bits differ between processors; empty if there are none."""
    resizes = [step for step in steps if isinstance(step, Resize | ResizeShorter)]
    found = [
        f"{step.KIND} {step.interpolation.value} {step.result.value}"
        for step in resizes
        if step.interpolation is Interpolation.AREA
        or (step.interpolation is Interpolation.LINEAR and step.result is PixelType.UINT8)
    ]
    if not found:
        return ""
    return (
        f"steps: found {', '.join(found)}, whose bits differ between processors, so that the self-test may fail on "
        "another one. If the network was not fitted on OpenCV's method, use linear_exact, bicubic or linear_antialias."
    )


def complements(network: Network, spec: ModelSpec) -> bool:
    """Return whether the network has one output p for two labels: p for the second and 1 - p for the first."""
    return spec.head is Head.PROBABILITIES and len(spec.labels) == 2 and network.given[1:] == (1,)


def check_end(network: Network, end: FinalActivation, spec: ModelSpec, given: npt.NDArray[np.float32]) -> None:
    """Compare the network's final activation with the spec's head.

    Args:
        given: its outputs on real images, float32 N×outputs, after the activation was removed.

    Raises:
        ExportError: activation and head contradict each other, or an output is not finite.
    """
    if not np.isfinite(given).all():
        raise ExportError(
            f"{network.where}: found {int((~np.isfinite(given)).sum())} of {given.size} outputs that are not finite, "
            "expected numbers. Compare the spec's scaling with the one that the network was fitted with."
        )
    heads = _HEADS.get(end)
    if heads is None:
        check_unknown(
            f"{network.where}: the network's end cannot be examined, and its outputs were",
            given,
            spec,
            "save the model as .keras or .h5 with a softmax or sigmoid at its end",
        )
    elif spec.head not in heads:
        wanted = " or ".join(head.value for head in heads)
        raise ExportError(
            f"{network.where}: the network ends with {end.value}; found head {spec.head.value} in the spec, expected "
            f"{wanted}. Correct the head."
        )


def check_unknown(found: str, given: npt.NDArray[np.float32], spec: ModelSpec, remedy: str) -> None:
    """Distinguish logits from probabilities by value: only logits can be outside 0..1.

    Args:
        found: the beginning of the message, before the range of the outputs.
        given: the network's outputs on real images, float32 N×outputs.
        remedy: how a network that ends with probabilities gets an end that can be removed.

    Raises:
        ExportError: the outputs contradict the spec's head.
    """
    lowest, highest = float(given.min()), float(given.max())
    probable = lowest >= -BEYOND and highest <= 1 + BEYOND
    if probable is (spec.head is Head.PROBABILITIES):
        return
    seen = f"{found} {lowest:.4g}..{highest:.4g}"
    if probable:
        raise ExportError(
            f"{seen}, as probabilities are; found head {spec.head.value}, expected probabilities. Set head "
            f"probabilities, or {remedy}."
        )
    raise ExportError(
        f"{seen}; found head probabilities, expected 0..1 or another head. Set head softmax, sigmoid or "
        "independent_sigmoids, which take logits."
    )


def _shape(sides: tuple[int | None, ...]) -> str:
    return "×".join("any" if side is None else str(side) for side in sides)
