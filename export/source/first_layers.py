"""Value range of an image after the spec's scaling steps and the network's own scaling layers.

Frameworks are imported inside functions, because only child processes may import them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.preprocessing.kernels import apply
from edge_runtime.preprocessing.steps import MinMax, Normalize, Scale

_FILE = "first_layers.json"

_LEAST_SPAN, _MOST = 0.1, 300.0
"""Smallest plausible span and largest plausible absolute value. Networks are fitted on values that span 1 to 255.
Scaling twice gives a span under 0.02. No usual scaling gives values beyond 300."""

_ARITHMETIC = ("TrueDivide", "Divide", "Multiply", "Subtract", "Add")
_MOST_LAYERS = 8


@dataclass(frozen=True)
class FirstLayers:
    """The range of values, over all channels, to which an image of 0..255 is mapped.

    Attributes:
        names: names of the scaling layers at the beginning of the network; empty if there are none.
        given: lowest and highest value after the spec's steps.
        reaching: lowest and highest value after those layers.
        span: span of the channel with the largest span after those layers.
        any_size: whether the network takes images of any size.
    """

    names: tuple[str, ...]
    given: tuple[float, float]
    reaching: tuple[float, float]
    span: float
    any_size: bool = False

    def write(self, folder: Path) -> None:
        """Write the fields as JSON to a file in ``folder``."""
        (folder / _FILE).write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> FirstLayers | None:
        """Read the file in ``folder`` that :meth:`write` wrote; None for a model that is not of Keras."""
        if not (folder / _FILE).is_file():
            return None
        found = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return cls(
            tuple(found["names"]), tuple(found["given"]), tuple(found["reaching"]), found["span"], found["any_size"]
        )

    def fault(self) -> str:
        """Return the fault and its remedy, a sentence each; empty if the range is plausible."""
        low, high = self.reaching
        if not self.names or (self.span >= _LEAST_SPAN and max(-low, high) <= _MOST):
            return ""
        layers = ", ".join(self.names)
        seen = (
            f"found steps that give {self.given[0]:.4g}..{self.given[1]:.4g} and a network that scales by itself "
            f"({layers}), so that {low:.4g}..{high:.4g} reaches it"
        )
        if self.span < _LEAST_SPAN:
            return f"{seen}; images are scaled twice. Leave one of the two out, unless it was fitted so."
        return f"{seen}. Give the steps that the network was fitted with."


def first_layers(model: Any, spec: ModelSpec) -> FirstLayers:
    """Compute the range of an image of 0..255 after the spec's steps and the scaling layers of a Keras model."""
    given = _of_steps(spec)
    names: list[str] = []
    reaching = _through(model, np.stack([given.min(axis=0), given.max(axis=0)])[:, np.newaxis, np.newaxis, :], names)
    span = float(np.abs(reaching[1] - reaching[0]).max())
    return FirstLayers(tuple(names), _ends(given), _ends(reaching), span, None in model.inputs[0].shape[1:3])


def _of_steps(spec: ModelSpec) -> npt.NDArray[np.float32]:
    """Return the values of 0 and 255 after the scaling steps of the spec, float32 2×channels."""
    ends = np.repeat(np.array([[0.0], [255.0]], np.float32), spec.channels, axis=1)
    for step in spec.steps:
        if isinstance(step, MinMax):
            ends = np.repeat(np.array([[step.low], [step.high]], np.float32), spec.channels, axis=1)
        elif isinstance(step, Scale | Normalize):
            ends = np.asarray(apply(step, ends, "ends"), np.float32)
    return ends


def _through(model: Any, values: Any, names: list[str]) -> Any:
    """Return ``values`` (2×1×1×C) after the scaling layers at the beginning of a model; append their names."""
    import keras
    from keras import layers

    passing = (layers.Identity, layers.Dropout, layers.ZeroPadding2D, layers.InputLayer)
    if isinstance(model, keras.Sequential):  # its graph is not accessible
        model = keras.Model(model.inputs, model.outputs)
    tensor = model.inputs[0]
    for _ in range(_MOST_LAYERS):
        users = [node for each in model.operations for node in each._inbound_nodes if _takes(node, tensor)]
        if len(users) != 1 or len(users[0].input_tensors) != 1:
            return values
        operation = users[0].operation
        if isinstance(operation, keras.Model):
            return _through(operation, values, names)
        if isinstance(operation, layers.Rescaling | layers.Normalization) or type(operation).__name__ in _ARITHMETIC:
            args, kwargs = users[0].arguments.fill_in({id(tensor): keras.ops.convert_to_tensor(values)})
            values = np.asarray(operation(*args, **kwargs))
            names.append(operation.name)
        elif not isinstance(operation, passing):
            return values
        tensor = users[0].output_tensors[0]
    return values


def _takes(node: Any, tensor: Any) -> bool:
    return any(taken is tensor for taken in node.input_tensors)


def _ends(values: Any) -> tuple[float, float]:
    return float(np.min(values)), float(np.max(values))
