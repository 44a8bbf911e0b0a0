"""Alternative preprocessing that a network may have been fitted with: other scaling, colour order or size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Letterbox, MinMax, Normalize, Resize, Scale, Step
from export.source.foreign import network as foreign
from export.source.foreign.network import reference_of
from export.source.keras_model import answers, load_to_logits, load_with_size
from export.source.keras_networks import VALUES, Mode

_MODES = (Mode.CAFFE, Mode.TORCH)
_OTHER = {ColourOrder.RGB: ColourOrder.BGR, ColourOrder.BGR: ColourOrder.RGB}

_SIDES = (64, 96, 128, 224, 299)
_LEAST, _MOST = 24, 512
"""Sides of images, in pixels, between which other sizes are tried."""


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


def alternatives(spec: ModelSpec, *, any_size: bool = False) -> list[Alternative]:
    """Return specs that each differ in one commonly confused property; specs equal to ``spec`` are left out.

    Args:
        any_size: whether the network takes images of any size; then other sizes are among them.
    """
    bare = _bare(spec)
    found = [
        ("Without the scaling steps", "it scales by itself", bare),
        ("With x / 255", "it was fitted on 0..1", (*bare, Scale(255.0, 0.0))),
        ("With x / 127.5 - 1", "it was fitted on -1..1", (*bare, Scale(127.5, -1.0))),
    ]
    if isinstance(bare[-1], MinMax):
        found.append(("Without min_max, with x / 255", "it was fitted on 0..1", (*bare[:-1], Scale(255.0, 0.0))))
    if spec.channels == 3:
        swapped = _swapped(spec.steps)
        order = next(step.order.value for step in reversed(swapped) if isinstance(step, Colour))
        found += [
            (f"With colour order {order}", f"it was fitted on images in the order {order}", swapped),
            *((f"With Keras' {mode.value} mode", "it was fitted on it", _in_mode(bare, mode)) for mode in _MODES),
        ]
    if any_size:
        found += [
            (f"With {width}×{height} px", "it was fitted on images of that size", _sized(spec.steps, width, height))
            for width, height in _other_sizes(*spec.size_px)
        ]
    return _different(found, spec)


def joint_alternatives(spec: ModelSpec) -> list[Alternative]:
    """Return specs that differ both in scaling and in colour order; none for grey images."""
    if spec.channels != 3:
        return []
    swapped = replace(spec, steps=_swapped(spec.steps))
    order = next(step.order.value for step in reversed(swapped.steps) if isinstance(step, Colour))
    joint = [
        (f"{each.how} and with colour order {order}", f"{each.likely}, in the order {order}", each.spec.steps)
        for each in alternatives(swapped)
        if each.how in ("Without the scaling steps", "With x / 255", "With x / 127.5 - 1")
    ]
    return _different(joint, spec)


def _different(found: Sequence[tuple[str, str, tuple[Step, ...]]], spec: ModelSpec) -> list[Alternative]:
    """Return each of the steps once, without those of ``spec``."""
    kept: dict[tuple[Step, ...], Alternative] = {}
    for how, likely, steps in found:
        if steps != spec.steps and steps not in kept:
            kept[steps] = Alternative(how, likely, replace(spec, steps=steps))
    return list(kept.values())


def _bare(spec: ModelSpec) -> tuple[Step, ...]:
    """Return the steps without the scale and normalize steps at their end."""
    steps = spec.steps
    while isinstance(steps[-1], Scale | Normalize):
        steps = steps[:-1]
    return steps


def _other_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Return half and twice the size, and squares that networks are commonly fitted on."""
    sizes = [(width // 2, height // 2), (width * 2, height * 2), *((side, side) for side in _SIDES)]
    return [
        each for each in dict.fromkeys(sizes) if each != (width, height) and _LEAST <= min(each) <= max(each) <= _MOST
    ]


def _sized(steps: tuple[Step, ...], width: int, height: int) -> tuple[Step, ...]:
    """Return the steps with another size in the last resize or letterbox."""
    last = max(place for place, step in enumerate(steps) if isinstance(step, Resize | Letterbox))
    step = steps[last]
    assert isinstance(step, Resize | Letterbox)
    return (*steps[:last], replace(step, width_px=width, height_px=height), *steps[last + 1 :])


def _swapped(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(replace(s, order=_OTHER.get(s.order, s.order)) if isinstance(s, Colour) else s for s in steps)


def _in_mode(bare: tuple[Step, ...], mode: Mode) -> tuple[Step, ...]:
    order, scaling = VALUES[mode]
    return (*_ordered(bare, order), *scaling)


def _ordered(steps: tuple[Step, ...], order: ColourOrder) -> tuple[Step, ...]:
    return tuple(replace(step, order=order) if isinstance(step, Colour) else step for step in steps)


def write_answers(
    network: str, model: str, output: str | None, spec: ModelSpec, tensors: Sequence[str], out: str
) -> None:
    """Write a network's logits (float32 A×N×outputs) for A saved sets of tensors (float32 N×H×W×C each).

    Logits are not a number for a size that the network cannot take.

    Args:
        network: the network cut at its logits, which takes the size of the spec.
        model: the model that it was made from, for sets of another size.
        output: name of its output that is exported; None for a model with one output.
    """
    if reference_of(Path(network)) is not None:
        np.save(out, np.stack([foreign.answers(Path(network), np.load(path)) for path in tensors]))
        return
    import tensorflow as tf  # imported here, because only child processes may import it

    loaded = load_to_logits(network)
    outputs, rows = loaded.outputs[0].shape[-1], []
    for path in tensors:
        images = np.load(path, mmap_mode="r")
        size = images.shape[1:3]
        try:
            fitting = loaded if size == spec.size_px[::-1] else load_with_size(Path(model), output, spec, size)
            rows.append(answers(fitting, images))
        except (ValueError, tf.errors.OpError):  # some layer needs a larger image, or its size is fixed
            rows.append(np.full((len(images), outputs), np.nan, np.float32))
    np.save(out, np.stack(rows))
