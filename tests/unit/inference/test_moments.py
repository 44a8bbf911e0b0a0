"""One invocation gives logits and moments of a feature map, and the check on them decides near its limit in float32."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.bundle import Bundle, find
from edge_runtime.bundle.manifest import Precision
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import BackendError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import FORMAT, open_model
from edge_runtime.inference.prediction import Failure
from edge_runtime.ood.discriminants import Discriminants
from edge_runtime.ood.image_limits import ImageLimits
from edge_runtime.ood.network_features import NetworkFamiliarity
from edge_runtime.predictor import Predictor
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.serialisation.float16 import packed
from tests.phantom_bundle import CHECKED, COMMITTED

RUNTIMES = [Runtime.LITERT, Runtime.ONNXRUNTIME]
PRECISIONS = [Precision.INT8, Precision.FLOAT32]
RNG = np.random.default_rng(3)
TENSORS = RNG.random((3, 50, 50, 3), dtype=np.float32)
NOISE = RNG.integers(0, 256, (50, 50, 3)).astype(np.uint8)
PINK = RNG.normal([190, 120, 210], 9, (50, 50, 3)).clip(0, 255).astype(np.uint8)
GLASS = np.full((50, 50, 3), 243, np.uint8)
IMAGES = [NOISE, PINK, GLASS]


def content(folder: Path, runtime: Runtime, precision: Precision) -> bytes:
    return (folder / f"model.{precision.value}.{FORMAT[runtime].value}").read_bytes()


def check() -> NetworkFamiliarity:
    found = find(CHECKED).manifest.spec.network_check
    assert found is not None
    return found


def changed(limit: float, band: float | None = 0.0, guard_band: float = 0.0, **policy: float) -> Bundle:
    """The bundle with another limit and other bands; its files are the same, and its golden vectors are left out."""
    bundle = find(CHECKED)
    spec = bundle.manifest.spec
    spec = dataclasses.replace(
        spec,
        familiarity=dataclasses.replace(check(), limit=limit),
        policy=dataclasses.replace(spec.policy, **policy),  # type: ignore[arg-type]
    )
    files = tuple(entry for entry in bundle.manifest.files if entry.role.value != "golden")
    manifest = dataclasses.replace(
        bundle.manifest, spec=spec, files=files, familiarity_band=band, guard_band=guard_band
    )
    return dataclasses.replace(bundle, manifest=manifest)


def opened(runtime: Runtime = Runtime.LITERT, precision: Precision = Precision.INT8, **how: Any) -> Predictor:
    return Predictor(changed(**how), runtime, precision, 1)


def distance(image: np.ndarray, runtime: Runtime, precision: Precision) -> float:
    with opened(runtime, precision, limit=1.0) as predictor:
        found = predictor.predict(image).familiarity
    assert found is not None
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_invocation_gives_both_and_each_image_alone(runtime: Runtime, precision: Precision) -> None:
    backend = open_model(content(CHECKED, runtime, precision), runtime)
    logits, moments = backend.run_with_moments(TENSORS)
    assert moments is not None
    assert (moments.dtype, moments.shape) == (np.float32, (3, 2 * check().channels))
    np.testing.assert_array_equal(logits, backend.run(TENSORS))
    alone = [backend.run_with_moments(TENSORS[i : i + 1])[1] for i in range(3)]
    np.testing.assert_array_equal(np.concatenate([each for each in alone if each is not None]), moments)
    mean, square = np.split(moments.astype(np.float64), 2, axis=1)
    assert (square >= mean**2 - 1e-5).all() and (mean > 0).any()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_file_without_a_check_has_none(runtime: Runtime) -> None:
    backend = open_model(content(COMMITTED, runtime, Precision.INT8), runtime)
    logits, moments = backend.run_with_moments(TENSORS)
    assert moments is None
    np.testing.assert_array_equal(logits, backend.run(TENSORS))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_outputs_for_heatmaps_are_the_others(runtime: Runtime) -> None:
    backend = open_model(content(CHECKED, runtime, Precision.FLOAT32), runtime)
    saliency = find(CHECKED).manifest.saliency
    assert saliency is not None
    logits, features, *hidden = backend.outputs(TENSORS[:1])
    assert features.shape == saliency.grid and not hidden
    np.testing.assert_array_equal(logits, backend.run(TENSORS[:1])[0])


def test_formats_and_precisions_give_the_distances_of_the_golden_vectors() -> None:
    for image in IMAGES:
        exact = [distance(image, runtime, Precision.FLOAT32) for runtime in RUNTIMES]
        rounded = [distance(image, runtime, Precision.INT8) for runtime in RUNTIMES]
        assert exact[0] == pytest.approx(exact[1], rel=1e-4)
        assert rounded == pytest.approx([exact[0]] * 2, rel=0.3)


def test_an_unfamiliar_image_is_referred_and_float32_does_not_run() -> None:
    found = distance(NOISE, Runtime.LITERT, Precision.INT8)
    with opened(limit=found / 2, guard_band=1.0) as predictor:
        answer = predictor.predict(NOISE)
    assert (answer.verdict.decision, answer.verdict.reason) == (Decision.REFER, Reason.UNFAMILIAR_INPUT)
    assert (answer.precision, answer.familiarity) == ("int8", pytest.approx(2.0))
    with opened(limit=found * 2, guard_band=1.0) as predictor:
        answer = predictor.predict(NOISE)
    assert answer.verdict.reason is Reason.PRECISION_RERUN and answer.familiarity == pytest.approx(0.5)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("image", IMAGES, ids=["noise", "pink", "glass"])
def test_near_the_limit_the_float32_file_decides(runtime: Runtime, image: np.ndarray) -> None:
    """The limit lies between the distances of the two files, so that they disagree."""
    exact, rounded = (distance(image, runtime, precision) for precision in (Precision.FLOAT32, Precision.INT8))
    assert exact != rounded
    limit = (exact + rounded) / 2
    with opened(runtime, limit=limit, band=0.0) as predictor:
        alone = predictor.predict(image)
    with opened(runtime, limit=limit, band=0.5) as predictor:
        guarded = predictor.predict(image)
    with opened(runtime, Precision.FLOAT32, limit=limit, band=0.5) as predictor:
        float32 = predictor.predict(image)
    assert (alone.verdict.reason is Reason.UNFAMILIAR_INPUT) is (rounded > exact)
    assert (guarded.verdict.reason is Reason.UNFAMILIAR_INPUT) is (exact > rounded)
    assert (guarded.precision, guarded.familiarity) == ("float32", float32.familiarity)
    assert guarded.verdict.scores == float32.verdict.scores
    assert guarded.verdict.reason in (Reason.UNFAMILIAR_INPUT, Reason.PRECISION_RERUN)


def test_workers_and_tiles_give_what_one_image_gives(tmp_path: Path) -> None:
    slide = np.concatenate([np.concatenate(row, axis=1) for row in (IMAGES, IMAGES[::-1])])
    limit = sorted(distance(image, Runtime.LITERT, Precision.INT8) for image in IMAGES)[1]
    for policy in ({}, {"neighbours": 0.5}):
        with opened(limit=limit, band=0.05, guard_band=0.1, **policy) as predictor:  # type: ignore[arg-type]
            alone = [predictor.predict(image) for image in IMAGES]
            many = list(predictor.predict_all([*IMAGES, tmp_path / "none.png"] * 3, workers=2))
            tiles = predictor.predict_tiles(slide, workers=2).tiles
        assert all(isinstance(failure, Failure) for failure in many[3::4])
        for i, expected in enumerate(alone):
            found = many[4 + i]
            assert not isinstance(found, Failure)
            assert (found.verdict, found.familiarity) == (expected.verdict, expected.familiarity)
            for tile in (tiles[i], tiles[5 - i]):
                assert tile.familiarity == expected.familiarity
                assert (tile.reason is Reason.UNFAMILIAR_INPUT) is (expected.verdict.reason is Reason.UNFAMILIAR_INPUT)
    assert {answer.verdict.reason is Reason.UNFAMILIAR_INPUT for answer in alone} == {True, False}


def test_a_heatmap_comes_with_the_same_prediction() -> None:
    with Predictor(find(CHECKED), Runtime.LITERT, Precision.INT8, 1) as predictor:
        explanation = predictor.explain(PINK)
        expected = predictor.predict(PINK)
    assert explanation.prediction.verdict == expected.verdict
    assert explanation.prediction.familiarity == expected.familiarity
    assert explanation.grid.size


def test_a_single_model_file_checks_too() -> None:
    with Predictor.load(CHECKED / "model.float32.onnx", backend=Runtime.ONNXRUNTIME) as predictor:
        alone = predictor.predict(PINK)
    with Predictor(find(CHECKED), Runtime.ONNXRUNTIME, Precision.FLOAT32, 1) as predictor:
        assert alone.familiarity == predictor.predict(PINK).familiarity


def test_files_without_moments_are_refused_with_a_remedy() -> None:
    bundle = find(COMMITTED)
    manifest = bundle.manifest
    files = tuple(entry for entry in manifest.files if entry.role.value != "golden")
    spec = dataclasses.replace(manifest.spec, familiarity=check())
    bundle = dataclasses.replace(bundle, manifest=dataclasses.replace(manifest, spec=spec, files=files))
    for runtime in RUNTIMES:
        with Predictor(bundle, runtime, Precision.INT8, 1) as predictor:
            with pytest.raises(BackendError, match=r"found no output for the out-of-distribution check.*Export"):
                predictor.predict(PINK)
            with pytest.raises(BackendError, match="found no output"):
                predictor.predict_tiles(np.concatenate([PINK, GLASS]))


@pytest.mark.parametrize("found, message", [(None, "no output"), (np.zeros((1, 6)), "6 numbers"), (np.nan, "NaN")])
def test_moments_of_another_network_are_refused(found: Any, message: str) -> None:
    moments = found if not isinstance(found, float) else np.full((1, 2 * check().channels), found)
    with pytest.raises(BackendError, match=message):
        check().shares(moments)


def limited(**limits: Any) -> Bundle:
    """The bundle with a discriminant and limits of the image, whose distances are the golden ones' no more."""
    bundle = changed(limit=30.0)
    known = check()
    weights = packed(np.full((1, len(known.mean)), 0.01))
    known = dataclasses.replace(
        known,
        limit=30.0,
        discriminants=Discriminants(("drawn",), weights, (0.5,)),
        image=ImageLimits(**limits) if limits else None,
    )
    spec = dataclasses.replace(bundle.manifest.spec, familiarity=known)
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, spec=spec))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_discriminants_reach_images_workers_and_tiles_alike(runtime: Runtime) -> None:
    slide = np.concatenate([np.concatenate(row, axis=1) for row in (IMAGES, IMAGES[::-1])])
    with Predictor(limited(), runtime, Precision.INT8, 1) as predictor:
        alone = [predictor.predict(image).familiarity for image in IMAGES]
        many = [found.familiarity for found in predictor.predict_all(IMAGES, workers=2)]  # type: ignore[union-attr]
        tiles = [tile.familiarity for tile in predictor.predict_tiles(slide, workers=2).tiles]
        spec = predictor.spec
        tensors = np.stack([preprocess(DecodedImage("p", p, ColourOrder.RGB), spec.steps) for p in IMAGES])
    assert many == alone and tiles == [*alone, *alone[::-1]]
    known = spec.network_check
    assert known is not None
    moments = open_model(content(CHECKED, runtime, Precision.INT8), runtime).run_with_moments(tensors)[1]
    assert known.shares(moments).tolist() == alone
    assert dataclasses.replace(known, discriminants=None).shares(moments).tolist() != alone


def test_an_image_beyond_a_limit_is_referred_and_keeps_the_excess_after_a_rerun() -> None:
    large = np.concatenate([PINK, PINK])
    with Predictor(limited(most_side_px=50), Runtime.LITERT, Precision.INT8, 1) as predictor:
        share, answer = predictor.predict(PINK).familiarity, predictor.predict(large)
    assert share is not None and answer.verdict.reason is Reason.UNFAMILIAR_INPUT
    assert answer.familiarity is not None and answer.familiarity >= 2.0
    bundle = limited(most_side_px=99)
    known = bundle.manifest.spec.network_check
    assert known is not None
    spec = dataclasses.replace(bundle.manifest.spec, familiarity=dataclasses.replace(known, limit=1e6))
    manifest = dataclasses.replace(bundle.manifest, spec=spec, familiarity_band=0.1)
    bundle = dataclasses.replace(bundle, manifest=manifest)
    with Predictor(bundle, Runtime.LITERT, Precision.INT8, 1) as predictor:
        answer = predictor.predict(large)
    assert (answer.precision, answer.familiarity) == ("float32", 100 / 99)
    assert answer.verdict.reason is Reason.UNFAMILIAR_INPUT
