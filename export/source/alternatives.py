"""Alternative preprocessing that a network may have been fitted with: other scaling or another colour order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Normalize, Scale, Step
from export.source.foreign import network as foreign
from export.source.foreign.network import reference_of
from export.source.keras_model import answers, load_to_logits

_OTHER = {ColourOrder.RGB: ColourOrder.BGR, ColourOrder.BGR: ColourOrder.RGB}
_CAFFE = Normalize((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
_TORCH = (Scale(255.0, 0.0), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@dataclass(frozen=True)
class Alternative:
    """A spec with other steps.

    Attributes:
        how: the difference, as the beginning of a sentence.
        likely: the likely cause if the network scores better with these steps.
    """

    how: str
    likely: str
    spec: ModelSpec


def alternatives(spec: ModelSpec) -> list[Alternative]:
    """Return specs that each differ in one commonly confused property; specs equal to ``spec`` are left out."""
    bare = spec.steps
    while isinstance(bare[-1], Scale | Normalize):
        bare = bare[:-1]
    scaled = len(bare) < len(spec.steps)
    found = [
        ("Without the scaling steps", "it scales by itself", bare),
        ("With x / 255", "it was fitted on 0..1", (*bare, Scale(255.0, 0.0))),
        ("With x / 127.5 - 1", "it was fitted on -1..1", (*bare, Scale(127.5, -1.0))),
    ]
    if spec.channels == 3:
        swapped = _swapped(spec.steps)
        order = next(step.order.value for step in reversed(swapped) if isinstance(step, Colour))
        found += [
            (f"With colour order {order}", f"it was fitted on images in the order {order}", swapped),
            ("With Keras' caffe mode", "it was fitted on it", (*_ordered(bare, ColourOrder.BGR), _CAFFE)),
            ("With Keras' torch mode", "it was fitted on it", (*_ordered(bare, ColourOrder.RGB), *_TORCH)),
        ]
    return [
        Alternative(how, likely, replace(spec, steps=steps))
        for how, likely, steps in found
        if steps != spec.steps and (scaled or not how.startswith("Without"))
    ]


def _swapped(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(replace(s, order=_OTHER.get(s.order, s.order)) if isinstance(s, Colour) else s for s in steps)


def _ordered(steps: tuple[Step, ...], order: ColourOrder) -> tuple[Step, ...]:
    return tuple(replace(step, order=order) if isinstance(step, Colour) else step for step in steps)


def write_answers(network: str, tensors: Sequence[str], out: str) -> None:
    """Write a network's logits (float32 A×N×outputs) for A saved sets of tensors (float32 N×H×W×C each)."""
    if reference_of(Path(network)) is None:
        model = load_to_logits(network)
        rows = [answers(model, np.load(path, mmap_mode="r")) for path in tensors]
    else:
        rows = [foreign.answers(Path(network), np.load(path)) for path in tensors]
    np.save(out, np.stack(rows))
