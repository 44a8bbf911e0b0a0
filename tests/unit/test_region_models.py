"""A model with a region rule answers about a region as it would about the square as an image of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import ColourOrder, Failure, Marked, Prediction, Predictor, Provider, Region, UsageError
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import RegionError
from edge_runtime.golden import inputs
from edge_runtime.golden.inputs import golden_image, golden_region
from edge_runtime.golden.vectors import GOLDEN, from_npz
from edge_runtime.images.reader import read
from edge_runtime.images.region import RegionCrop, crop
from edge_runtime.inference.prediction import Timing
from edge_runtime.selftest import replay
from edge_runtime.serialisation.records import canonical_json, from_json

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]
RULE = RegionCrop(margin=1.5, least_half_px=12.0)
REGIONS = [Region(60, 45, 20), Region(3, 90.5, 11), Region(118, 2, 30)]


def untimed(answer: Prediction | Failure) -> object:
    if isinstance(answer, Failure):
        return answer.to_dict() | {"time": ""}
    return dataclasses.replace(answer, ms=Timing(0, 0, 0))


@pytest.fixture
def region_bundle(edited_bundle: Edit) -> Path:
    """The phantom bundle, whose spec says now how regions are cut; its golden vectors are of whole images, and go."""
    rule = {"margin": RULE.margin, "least_half_px": RULE.least_half_px}

    def altered(manifest: dict[str, Any]) -> None:
        manifest["spec"].update(region=rule)
        manifest["files"] = [entry for entry in manifest["files"] if entry["role"] != "golden"]

    return edited_bundle(altered)


@pytest.fixture
def film(phantom_patches: list[Path], tmp_path: Path) -> Path:
    """An image of 120×100 px, put together of phantoms."""
    rows = [np.hstack([cv2.imread(str(path)) for path in phantom_patches[i : i + 3]]) for i in (0, 3)]
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), np.vstack(rows)[:100, :120])
    return path


def test_an_answer_about_a_region_is_the_answer_to_its_square(
    region_bundle: Path, phantom_bundle: Path, film: Path
) -> None:
    whole = read(film)
    with Predictor.load(region_bundle) as asked, Predictor.load(phantom_bundle) as plain:
        for region in REGIONS:
            found = asked.predict(film, region=region)
            square = crop(whole, region, RULE).pixels
            expected = plain.predict(square, order=ColourOrder.BGR, name=str(film))
            same = {"region": None, "ms": expected.ms, "bundle": expected.bundle, "sha256": expected.sha256}
            assert dataclasses.replace(found, **same) == expected
            assert found.region == region
            assert found.to_dict()["region"] == {"x": region.x, "y": region.y, "radius": region.radius}
            assert found.contract == expected.contract


def test_a_region_may_be_three_numbers(region_bundle: Path, film: Path) -> None:
    with Predictor.load(region_bundle) as predictor:
        assert untimed(predictor.predict(film, region=(60, 45, 20))) == untimed(
            predictor.predict(film, region=REGIONS[0])
        )
        with pytest.raises(RegionError, match="expected x,y,radius"):
            predictor.predict(film, region=(60, 45))  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 3])
def test_marked_images_are_answered_in_their_order_and_failures_keep_their_region(
    workers: int, region_bundle: Path, film: Path
) -> None:
    outside = Marked(film, Region(500, 5, 20))
    items = [*(Marked(film, region) for region in REGIONS), outside, Marked("missing.png", REGIONS[0])] * 3
    with Predictor.load(region_bundle) as predictor:
        found = list(predictor.predict_all(items, workers=workers))
        alone = [untimed(predictor.predict(film, region=region)) for region in REGIONS]
    assert [answer.region for answer in found] == [item.region for item in items]
    assert [untimed(answer) for answer in found[:3]] == alone
    codes = [answer.error.code for answer in found if isinstance(answer, Failure)]
    assert codes == ["image_region_outside", "image_not_found"] * 3
    assert found[3].to_dict()["region"] == {"x": 500.0, "y": 5.0, "radius": 20.0}


def test_a_region_in_a_black_corner_is_refused_and_the_others_are_answered() -> None:
    pixels = np.zeros((600, 600), np.uint8)
    pixels[:, :400] = np.random.default_rng(0).integers(40, 200, (600, 400))
    with Predictor.load("mias-region") as predictor:
        corner, tissue = predictor.predict_all(
            [Marked(pixels, Region(560, 40, 20)), Marked(pixels, Region(200, 300, 20))]
        )
    assert isinstance(corner, Failure) and corner.error.code == "image_region_blank"
    assert "a range of 0 levels" in corner.error.message and isinstance(tissue, Prediction)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_question_that_does_not_fit_the_model_is_an_error_of_the_program(
    workers: int, region_bundle: Path, phantom_bundle: Path, film: Path
) -> None:
    with Predictor.load(region_bundle) as asked, Predictor.load(phantom_bundle) as plain:
        for call in (
            lambda: asked.predict(film),
            lambda: asked.predict("missing.png"),
            lambda: list(asked.predict_all([film], workers=workers)),
            lambda: asked.predict_tiles(film),
        ):
            with pytest.raises(UsageError) as missing:
                call()
            assert missing.value.code == "region_missing"
        for call in (
            lambda: plain.predict(film, region=REGIONS[0]),
            lambda: list(plain.predict_all([Marked(film, REGIONS[0])], workers=workers)),
        ):
            with pytest.raises(UsageError) as unexpected:
                call()
            assert unexpected.value.code == "region_unexpected"


def test_the_shortest_side_is_the_whole_images(edited_bundle: Edit, film: Path) -> None:
    def alter(manifest: dict[str, Any]) -> None:
        manifest["spec"].update(region={"margin": 1.0, "least_half_px": 6.0}, min_side_px=60)

    with Predictor.load(edited_bundle(alter)) as predictor:
        assert predictor.predict(film, region=(60, 50, 6)).region == Region(60, 50, 6)  # a square of 12 px
        (small,) = predictor.predict_all([Marked(cv2.imread(str(film))[:59], Region(20, 20, 6))])
    assert isinstance(small, Failure)
    assert small.error.code == "image_too_small"


def test_a_spec_without_a_rule_is_written_as_before_and_one_with_a_rule_comes_back(phantom_bundle: Path) -> None:
    plain = find(phantom_bundle).manifest.spec
    asked = dataclasses.replace(plain, region=RULE)
    assert "region" not in canonical_json(plain)
    assert from_json(ModelSpec, canonical_json(asked), "spec") == asked
    assert asked.contract == plain.contract


def test_golden_images_of_a_region_model_are_cut_by_both_sides_alike(region_bundle: Path, phantom_bundle: Path) -> None:
    from export.validation.golden import golden_images, golden_tensors, write_golden

    manifest = find(region_bundle).manifest
    spec = manifest.spec
    write_golden(region_bundle, manifest, golden_tensors(spec)[:, 0, 0, : spec.outputs])
    golden = from_npz((region_bundle / GOLDEN).read_bytes(), "golden")
    np.testing.assert_array_equal(inputs.tensors_of(golden, spec), golden_tensors(spec))
    for name, png in zip(golden.names, golden.images, strict=True):
        whole = read(png, name=name)
        region = golden_region(whole, spec)
        assert region is not None
        np.testing.assert_array_equal(golden_image(png, name, spec).pixels, crop(whole, region, RULE).pixels)
    bundle = find(region_bundle)
    for form, decisions in golden.decisions.items():
        runtime = next(r for r, f in replay.FORMAT.items() if f is form and replay.installed(r))
        assert tuple(replay._decisions(bundle, golden, replay._Place(runtime, Provider.CPU))) == decisions
    plain = find(phantom_bundle).manifest.spec
    assert [p.png for p in golden_images(plain)] == [p.png for p in golden_images(spec)]
    assert golden_region(read(golden.images[0]), plain) is None
