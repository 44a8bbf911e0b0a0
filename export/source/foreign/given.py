"""What is known of an ONNX or TFLite classifier before it is compared with its spec."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from export.errors import ExportError
from export.source.heads import FinalActivation

Floats = npt.NDArray[np.float32]


class Layout(enum.Enum):
    """Order of the values that a network takes; devices give height, width, channels."""

    LAST = "height, width, channels"
    FIRST = "channels, height, width"
    FLAT = "one row"

    def of(self, tensors: Floats) -> Floats:
        """Return preprocessed images, float32 N×H×W×C, in this order."""
        if self is Layout.FIRST:
            return np.ascontiguousarray(tensors.transpose(0, 3, 1, 2))
        return tensors.reshape(len(tensors), -1) if self is Layout.FLAT else tensors


@dataclass(frozen=True)
class GivenModel:
    """A classifier as it was given, and the network that was made from it.

    Attributes:
        network: content of the model file for devices: input N×H×W×C, one output, the logits where possible.
        scores: function that runs the given file: its own outputs, float32 N×outputs, for images N×H×W×C.
        logits: the same for the values before its final activation, computed by the given graph.
        end: the final activation, which ``network`` lacks.
        output: name of the output that was taken.
        quantised: whether the file computes or stores in 8 bits already.
        step: largest rounding of an output that is not float32; 0 for float32.
        changes: what differs between the given file and ``network``, a sentence each.
        labels: the labels that the file names, in the order of its outputs; empty if it names none.
    """

    network: bytes
    scores: Callable[[Floats], Floats]
    logits: Callable[[Floats], Floats]
    end: FinalActivation
    output: str
    quantised: bool
    step: float
    changes: tuple[str, ...]
    labels: tuple[str, ...]


def choose_output(where: Path, names: list[str], counts: list[int | None], wanted: str | None, spec: ModelSpec) -> int:
    """Return the index of the output that gives the scores.

    Args:
        names: names of the outputs that can give scores.
        counts: number of values of each for one image; None if it is not known.
        wanted: the value of ``--output``; None if it was not given.
        spec: the spec; an error proposes an output with as many values as it has.

    Raises:
        ExportError: there is no such output, or there are several and none is chosen.
    """
    if wanted is not None and wanted not in names:
        raise ExportError(
            f"{where}: found no output {wanted}, expected one of {', '.join(names) or '(none)'}. Correct --output."
        )
    if not names:
        raise ExportError(
            f"{where}: found no output of scores, expected one of float32. Export the network with the output of its "
            "last layer, not only the label."
        )
    if wanted is None and len(names) > 1:
        likely = names[counts.index(spec.outputs) if spec.outputs in counts else 0]
        raise ExportError(
            f"{where}: found {len(names)} outputs ({', '.join(map(_sized, names, counts))}), expected one, the scores. "
            f"Choose one with --output, for example --output {likely}."
        )
    return 0 if wanted is None else names.index(wanted)


def _sized(name: str, count: int | None) -> str:
    return name if count is None else f"{name}: {count} value{'' if count == 1 else 's'}"


def layout_of(where: Path, taken: tuple[int | None, ...], spec: ModelSpec, usual: Layout) -> Layout:
    """Compare an input shape with the spec's preprocessed images, and return the order of its values.

    Args:
        taken: the shape, batch axis first; None is any size.
        usual: the order if the shape fits both.

    Raises:
        ExportError: the shape fits none, or the batch size is fixed to another size than 1.
    """
    if taken and taken[0] not in (None, 1):
        raise ExportError(
            f"{where}: found a batch of {taken[0]} fixed, expected 1 or any. Export it with a dynamic batch axis."
        )
    (width, height), channels = spec.size_px, spec.channels
    shapes = {
        Layout.LAST: (height, width, channels),
        Layout.FIRST: (channels, height, width),
        Layout.FLAT: (height * width * channels,),
    }
    fitting = [order for order, shape in shapes.items() if _fits(taken[1:], shape)]
    if fitting:
        return usual if usual in fitting else fitting[0]
    found = "×".join("any" if side is None else str(side) for side in taken[1:]) or "no sides"
    raise ExportError(
        f"{where}: found an input of {found}, the spec's steps give {height}×{width}×{channels} (height, width, "
        "channels), or the same with channels first, or in one row. Correct the resize and colour steps in the spec."
    )


def _fits(found: tuple[int | None, ...], wanted: tuple[int, ...]) -> bool:
    return len(found) == len(wanted) and all(a in (None, b) for a, b in zip(found, wanted, strict=True))
