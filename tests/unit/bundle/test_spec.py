"""What a spec refuses, and the hash that stands for its steps."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.policy import CaseRule, DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ManifestError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    Colour,
    Interpolation,
    MinMax,
    PixelType,
    Resize,
    Scale,
    Sharpen,
    Step,
    Window,
)
from edge_runtime.serialisation.records import canonical_json, from_dict, from_json, to_dict
from tests.system_4 import BUNDLE

COLOUR = Colour(ColourOrder.BGR)
RESIZE = Resize(50, 50, Interpolation.LINEAR_EXACT, PixelType.UINT8)
SHARPEN = Sharpen(LAPLACIAN_SHARPEN_3X3, PixelType.UINT8, Border.REFLECT_101)
SCALE = Scale(255.0, 0.0)
IDC = (COLOUR, RESIZE, SHARPEN, SCALE)
IDC_CONTRACT = "f1b130c119d33029e998afec410d0a4b9c86880667523704e1e6f3a089d52c5d"
"""Stored in every bundle of the IDC system: a change makes them all unreadable."""

FLAT = tuple(tuple(value / 9 for value in row) for row in LAPLACIAN_SHARPEN_3X3)


def spec(**changes: Any) -> ModelSpec:
    return dataclasses.replace(
        ModelSpec(
            name="idc-patch",
            version="1.0.0",
            summary="",
            steps=IDC,
            labels=("benign", "malignant"),
            positive=("malignant",),
            head=Head.INDEPENDENT_SIGMOIDS,
            policy=DecisionPolicy(0.5, 0.8),
        ),
        **changes,
    )


OTHER_STEPS: dict[str, tuple[Step, ...]] = {
    "RGB for BGR": (Colour(ColourOrder.RGB), RESIZE, SHARPEN, SCALE),
    "grey for BGR": (Colour(ColourOrder.GREY), RESIZE, SHARPEN, SCALE),
    "linear": (COLOUR, dataclasses.replace(RESIZE, interpolation=Interpolation.LINEAR), SHARPEN, SCALE),
    "nearest": (COLOUR, dataclasses.replace(RESIZE, interpolation=Interpolation.NEAREST), SHARPEN, SCALE),
    "area": (COLOUR, dataclasses.replace(RESIZE, interpolation=Interpolation.AREA), SHARPEN, SCALE),
    "51 wide": (COLOUR, dataclasses.replace(RESIZE, width_px=51), SHARPEN, SCALE),
    "51 high": (COLOUR, dataclasses.replace(RESIZE, height_px=51), SHARPEN, SCALE),
    "float sharpening": (COLOUR, RESIZE, dataclasses.replace(SHARPEN, result=PixelType.FLOAT32), SCALE),
    "replicated border": (COLOUR, RESIZE, dataclasses.replace(SHARPEN, border=Border.REPLICATE), SCALE),
    "zero border": (COLOUR, RESIZE, dataclasses.replace(SHARPEN, border=Border.ZERO), SCALE),
    "other kernel": (COLOUR, RESIZE, dataclasses.replace(SHARPEN, kernel=FLAT), SCALE),
    "no sharpening": (COLOUR, RESIZE, SCALE),
    "no scale": (COLOUR, RESIZE, SHARPEN),
    "scale by 256": (COLOUR, RESIZE, SHARPEN, Scale(256.0, 0.0)),
    "scale to -1..1": (COLOUR, RESIZE, SHARPEN, Scale(127.5, -1.0)),
    "min-max for scale": (COLOUR, RESIZE, SHARPEN, MinMax(0.0, 1.0)),
    "colour after resize": (RESIZE, COLOUR, SHARPEN, SCALE),
    "sharpened before resize": (COLOUR, SHARPEN, RESIZE, SCALE),
    "a window first": (Window(0, 255), *IDC),
}


def test_the_idc_contract_is_pinned() -> None:
    assert spec().contract == IDC_CONTRACT


def test_the_contract_can_be_computed_without_this_package() -> None:
    kernel = [[-1.0, -1.0, -1.0], [-1.0, 9.0, -1.0], [-1.0, -1.0, -1.0]]
    steps = [
        {"kind": "colour", "order": "bgr"},
        {"kind": "resize", "width_px": 50, "height_px": 50, "interpolation": "linear_exact", "result": "uint8"},
        {"kind": "sharpen", "kernel": kernel, "result": "uint8", "border": "reflect_101"},
        {"kind": "scale", "divisor": 255.0, "offset": 0.0},
    ]
    text = json.dumps(steps, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == IDC_CONTRACT


def test_every_other_preprocessing_has_another_contract() -> None:
    contracts = {case: spec(steps=steps).contract for case, steps in OTHER_STEPS.items()} | {"idc": IDC_CONTRACT}
    seen: dict[str, str] = {}
    for case, contract in contracts.items():
        assert contract not in seen, f"{case!r} and {seen[contract]!r} share the contract {contract}"
        seen[contract] = case


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"version": "2.0.0"},
        {"summary": "other words"},
        {"labels": ("b", "m"), "positive": ("m",)},
        {"head": Head.SOFTMAX},
        {"policy": DecisionPolicy(0.1, 0.0, 2.5, CaseRule(0.95, 3))},
        {"min_side_px": 20},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_does_not_touch_pixels_leaves_the_contract(changes: dict[str, Any]) -> None:
    assert spec(**changes).contract == IDC_CONTRACT


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "name in capitals": ({"name": "IDC"}, "lower-case words joined by hyphens"),
    "name with a path": ({"name": "../idc"}, "lower-case words joined by hyphens"),
    "name ending in a hyphen": ({"name": "idc-"}, "lower-case words joined by hyphens"),
    "name with a line end": ({"name": "idc\n"}, "lower-case words joined by hyphens"),
    "no name": ({"name": ""}, "lower-case words joined by hyphens"),
    "version of two numbers": ({"version": "1.0"}, "MAJOR.MINOR.PATCH"),
    "version with a letter": ({"version": "1.0.0rc1"}, "MAJOR.MINOR.PATCH"),
    "one label": ({"labels": ("malignant",)}, "two or more different names"),
    "equal labels": ({"labels": ("malignant", "malignant")}, "two or more different names"),
    "no positive": ({"positive": ()}, "some, not all, of the labels"),
    "all positive": ({"positive": ("benign", "malignant")}, "some, not all, of the labels"),
    "unknown positive": ({"positive": ("tumour",)}, "some, not all, of the labels"),
    "sigmoid of three labels": ({"labels": ("a", "b", "malignant"), "head": Head.SIGMOID}, "expected two labels"),
    "sigmoid with the first positive": (
        {"positive": ("benign",), "head": Head.SIGMOID},
        "with the second one positive",
    ),
    "no steps": ({"steps": ()}, "found no resize step"),
    "no resize": ({"steps": (COLOUR, SHARPEN, SCALE)}, "found no resize step"),
    "no colour": ({"steps": (RESIZE, SHARPEN, SCALE)}, "found no colour step"),
    "window later": ({"steps": (COLOUR, Window(0, 9), RESIZE)}, "window step must be the first step"),
    "colour after scale": ({"steps": (RESIZE, SCALE, COLOUR)}, "colour on uint8 comes after a float32 step"),
    "uint8 resize after scale": ({"steps": (COLOUR, SCALE, RESIZE)}, "resize on uint8 comes after a float32 step"),
    "uint8 sharpening after min-max": (
        {"steps": (COLOUR, RESIZE, MinMax(0.0, 255.0), SHARPEN)},
        "sharpen on uint8 comes after a float32 step",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_spec_that_cannot_be_meant_is_refused(case: str) -> None:
    changes, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        spec(**changes)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
@pytest.mark.parametrize("name", ["cutoff", "confidence_floor"])
def test_a_threshold_outside_0_to_1_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"found {name} .* expected 0..1"):
        dataclasses.replace(DecisionPolicy(0.5, 0.8), **{name: value})


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e-7, 1e7])
def test_a_temperature_that_is_not_finite_and_over_0_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="found temperature"):
        DecisionPolicy(0.5, 0.8, temperature=value)


@pytest.mark.parametrize("value", [0.0, -0.5, 1.01, float("nan"), float("inf")])
def test_a_weight_of_neighbours_that_is_not_over_0_and_up_to_1_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"found neighbours .* expected more than 0 and at most 1, or none"):
        DecisionPolicy(0.5, 0.8, neighbours=value)


def test_a_policy_without_neighbours_keeps_its_text_and_one_with_them_its_contract() -> None:
    alone, together = (spec(policy=DecisionPolicy(0.5, 0.8, neighbours=weight)) for weight in (None, 1.0))
    assert "neighbours" not in canonical_json(alone) and together.contract == alone.contract
    assert from_json(ModelSpec, canonical_json(together), "doc") == together != alone


@pytest.mark.parametrize(("confidence", "count"), [(1.5, 1), (-0.1, 1), (float("nan"), 1), (0.8, 0), (0.8, -2)])
def test_a_case_rule_that_makes_no_sense_is_refused(confidence: float, count: int) -> None:
    with pytest.raises(ValueError, match=r"confidence of 0\.\.1 and a count of 1 or more"):
        CaseRule(confidence, count)


def test_a_policy_with_temperature_and_case_rule_reads_back_equal() -> None:
    for case in (None, CaseRule(0.95, 3)):
        full = spec(policy=DecisionPolicy(0.5, 0.8, 1.75, case))
        assert from_json(ModelSpec, canonical_json(full), "doc") == full


def test_a_policy_written_before_temperatures_reads_as_undivided_without_a_rule() -> None:
    old = to_dict(spec())
    old["policy"] = {"cutoff": 0.5, "confidence_floor": 0.8}
    read = from_dict(ModelSpec, old, "doc")
    assert read == spec()
    assert (read.policy.temperature, read.policy.case) == (1.0, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0}, "doc.policy: policy: found temperature 0.0"),
        ({"case": {"confidence": 0.9, "count": 0}}, r"doc.policy.case: .* a count of 1 or more"),
        ({"case": {"confidence": 0.9}}, r"doc.policy.case: key 'count' is missing"),
        ({"case": {"confidence": 0.9, "count": 2.0}}, r"doc.policy.case.count: found 2.0, expected a whole number"),
        ({"case": []}, r"doc.policy.case: found \[\], expected an object"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_named_by_its_path(change: dict[str, Any], words: str) -> None:
    value = to_dict(spec())
    value["policy"] |= change
    with pytest.raises(ManifestError, match=words):
        from_dict(ModelSpec, value, "doc")


def test_a_bundle_of_an_older_release_opens_and_its_embedded_specs_are_its_own() -> None:
    bundle = find(BUNDLE)
    assert bundle.verify() == len(bundle.manifest.files)
    assert bundle.manifest.spec.policy == DecisionPolicy(0.5, 0.8)
    assert bundle.manifest.training is not None and bundle.manifest.training.policy == "as published"


def test_a_step_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="linear_exact requires uint8"):
        Resize(50, 50, Interpolation.LINEAR_EXACT, PixelType.FLOAT32)
    for side in (0, 4097):
        with pytest.raises(ValueError, match=r"expected sides of 1\.\.4096 px"):
            Resize(side, 50, Interpolation.AREA, PixelType.UINT8)
    for kernel in ((), ((1.0, 1.0), (1.0, 1.0)), ((1.0, 1.0, 1.0),), ((1.0,) * 3, (1.0,) * 3, (1.0,) * 2)):
        with pytest.raises(ValueError, match="square kernel of odd side"):
            Sharpen(kernel, PixelType.UINT8, Border.ZERO)
    for low, high in ((5, 5), (9, 5), (-1, 5), (0, 65536)):
        with pytest.raises(ValueError, match="expected 0 <= low < high <= 65535"):
            Window(low, high)
    with pytest.raises(ValueError, match="divisor 0"):
        Scale(0.0, 0.0)


def test_a_spec_tells_the_shape_of_its_network() -> None:
    grey = spec(steps=(Colour(ColourOrder.GREY), dataclasses.replace(RESIZE, width_px=64), SCALE), head=Head.SIGMOID)
    assert (spec().size_px, spec().channels, spec().outputs) == ((50, 50), 3, 2)
    assert (grey.size_px, grey.channels, grey.outputs) == ((64, 50), 1, 1)


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec().name = "other"  # type: ignore[misc]


def test_scale_and_tile_are_left_out_of_specs_without_them() -> None:
    plain = spec()
    assert not {"microns_per_pixel", "tile_px"} & set(to_dict(plain))
    assert plain.tile_size_px == plain.size_px
    scaled = dataclasses.replace(plain, microns_per_pixel=4.0, tile_px=25)
    assert scaled.tile_size_px == (25, 25) and scaled.contract == plain.contract
    assert from_dict(ModelSpec, to_dict(scaled)) == scaled


@pytest.mark.parametrize("wrong", [0.0, -1.0, 1000.5, float("inf"), float("nan")])
def test_a_scale_is_above_0(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"microns_per_pixel: found .*, expected a number above 0, at most 1000"):
        dataclasses.replace(spec(), microns_per_pixel=wrong)


@pytest.mark.parametrize("wrong", [0, 7, 4097])
def test_a_tile_is_an_image_that_the_model_takes(wrong: int) -> None:
    with pytest.raises(ValueError, match=rf"tile_px: found {wrong}, expected min_side_px \(8\) to 4096 pixels"):
        dataclasses.replace(spec(), tile_px=wrong)
