"""A mistake in any step of any recipe gives another tensor and another contract, so that it cannot pass unseen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import (
    Border,
    Colour,
    Interpolation,
    MinMax,
    PixelType,
    Resize,
    Scale,
    Sharpen,
    Step,
)
from training.recipes import RECIPES


def _instead(steps: tuple[Step, ...], kind: type[Step], **changes: object) -> tuple[Step, ...]:
    """Return the steps with the fields of each ``kind`` changed."""
    return tuple(dataclasses.replace(step, **changes) if isinstance(step, kind) else step for step in steps)


def _without(steps: tuple[Step, ...], kind: type[Step]) -> tuple[Step, ...]:
    return tuple(step for step in steps if not isinstance(step, kind))


def _wrong(name: str) -> dict[str, tuple[Step, ...]]:
    """Return the mistakes that can be made with a system's steps, by what they are."""
    steps = RECIPES[name].spec.steps
    resize = next(step for step in steps if isinstance(step, Resize))
    order = next(step.order for step in steps if isinstance(step, Colour))
    linear = resize.interpolation in (Interpolation.LINEAR, Interpolation.LINEAR_EXACT)
    found = {
        "other colour order": _instead(steps, Colour, order=_swapped(order)),
        "other size": _instead(steps, Resize, width_px=resize.width_px + 1, height_px=resize.height_px + 1),
        "other interpolation": _instead(
            steps, Resize, interpolation=Interpolation.NEAREST if linear else Interpolation.LINEAR
        ),
    }
    if resize.interpolation is Interpolation.LINEAR:
        found["rounded resize"] = _instead(steps, Resize, result=PixelType.UINT8)
    for sharpen in (step for step in steps if isinstance(step, Sharpen)):
        other = PixelType.FLOAT32 if sharpen.result is PixelType.UINT8 else PixelType.UINT8
        found[f"{other.value} sharpening"] = _instead(steps, Sharpen, result=other)
        found["zero border"] = _instead(steps, Sharpen, border=Border.ZERO)
        found["no sharpening"] = _without(steps, Sharpen)
    if any(isinstance(step, MinMax) for step in steps):
        found["no min-max"] = _without(steps, MinMax)
    scaled = any(isinstance(step, Scale) for step in steps)
    found["missing ÷255" if scaled else "added ÷255"] = (
        _without(steps, Scale) if scaled else (*steps, Scale(divisor=255.0, offset=0.0))
    )
    return found


def _swapped(order: ColourOrder) -> ColourOrder:
    return ColourOrder.RGB if order is not ColourOrder.RGB else ColourOrder.BGR


@pytest.mark.parametrize("name", RECIPES)
def test_every_wrong_step_changes_the_contract_and_the_tensor(name: str) -> None:
    """On noise of an odd size, so that each mistake shows."""
    spec = RECIPES[name].spec
    pixels = np.random.default_rng(9).integers(0, 256, (225, 301, 3), dtype=np.uint8)
    image = DecodedImage("noise", pixels, ColourOrder.RGB)
    right = preprocess(image, spec.steps)
    contracts = {spec.contract: "the right steps"}
    for mistake, steps in _wrong(name).items():
        contract = dataclasses.replace(spec, steps=steps).contract
        assert contract not in contracts, f"{name}: {mistake} has the contract of {contracts[contract]}"
        contracts[contract] = mistake
        assert not np.array_equal(preprocess(image, steps), right), f"{name}: {mistake} gives the same tensor"


def test_the_mistakes_that_programs_made_are_among_them() -> None:
    """Sharpening in the other dtype, RGB for BGR, and no ÷255 are what the five programs got wrong or nearly so."""
    assert {"uint8 sharpening", "missing ÷255"} <= _wrong("density-malignancy-cnn").keys()
    assert {"float32 sharpening", "other colour order", "missing ÷255"} <= _wrong("idc-patch").keys()
    assert {"rounded resize", "missing ÷255"} <= _wrong("density-malignancy-simple").keys()
    assert "added ÷255" in _wrong("mias-abnormality")
