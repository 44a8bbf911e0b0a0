"""The networks of the coverage table: name, how one is built, and the spec's head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec, ParityTolerance
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale, Step
from export.coverage.settling import SIDE, drawn, settle

IMAGES = 40
"""Number of calibration images, and of parity images."""

ENLARGED = 1e-3
"""Tolerance of float32 files for networks that enlarge rounding if their weights are random."""


@dataclass(frozen=True)
class Subject:
    """One row of the table.

    Attributes:
        name: name of the row, unique.
        group: the table that it belongs to.
        build: function that returns the Keras network, with random weights; a kind of
            :mod:`export.coverage.elsewhere` for a file of another release.
        head: head of the spec.
        side: side of the image in pixels, in the spec.
        scaled: whether the spec divides by 255; otherwise the network takes 0..255.
        ending: ``.keras``, ``.h5``, or empty for a SavedModel.
        output: name of the chosen output; empty for a network with one output.
        release: release of TensorFlow that writes the file; empty for this one.
        float32_logit_max: tolerance of the spec; random weights may enlarge rounding more than fitted ones.
        after: function that returns the network to save, given the network with its weights; None to save that.
    """

    name: str
    group: str
    build: Callable[[], Any] | str
    head: Head = Head.SOFTMAX
    side: int = SIDE
    scaled: bool = True
    ending: str = ".keras"
    output: str = ""
    release: str = ""
    float32_logit_max: float = ParityTolerance().float32_logit_max
    after: Callable[[Any], Any] | None = None

    @property
    def file(self) -> str:
        """Name of the row as the name of a file."""
        return "".join(sign if sign.isalnum() else "-" for sign in self.name.lower()).strip("-")

    def spec(self) -> ModelSpec:
        """Return the spec, for two labels. The last activation of a SavedModel cannot be removed."""
        side = self.side
        steps: list[Step] = [Colour(ColourOrder.RGB), Resize(side, side, Interpolation.NEAREST, PixelType.FLOAT32)]
        return ModelSpec(
            name="coverage",
            version="1.0.0",
            summary="Dark and bright noise.",
            steps=(*steps, Scale(255.0, 0.0)) if self.scaled else tuple(steps),
            labels=("dark", "bright"),
            positive=("bright",),
            head=self.head if self.ending else Head.PROBABILITIES,
            policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.0),
            tolerance=ParityTolerance(float32_logit_max=self.float32_logit_max),
        )


def write(subject: Subject, out: str) -> None:
    """Build a network and save it; call it in a process of its own."""
    import keras

    keras.utils.set_random_seed(1)
    if isinstance(subject.build, str):
        raise TypeError(f"{subject.name} is written elsewhere")
    model = subject.build()
    divisor = np.float32(255.0 if subject.scaled else 1.0)
    settle(keras, model, drawn(IMAGES, subject.side, seed=3).astype(np.float32) / divisor)
    if subject.after is not None:
        model = subject.after(model)
    if Path(out).suffix:
        model.save(out)
    else:
        model.export(out, verbose=False)
