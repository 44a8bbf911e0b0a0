"""``Predictor.explain``: the answer of ``predict``, and a map of the float32 file on every interpreter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import Predictor, Runtime, UsageError
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Precision
from edge_runtime.errors import BackendError, IntegrityError, SaliencyError
from edge_runtime.explain import explainer
from edge_runtime.explain.explanation import stretched
from edge_runtime.images.region import Region, RegionCrop
from edge_runtime.inference.prediction import Prediction, Timing
from edge_runtime.preprocessing.steps import Letterbox, covered

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]
RUNTIMES = (Runtime.LITERT, Runtime.ONNXRUNTIME)


def untimed(prediction: Prediction) -> Prediction:
    return dataclasses.replace(prediction, ms=Timing(0, 0, 0))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_answer_is_that_of_predict(phantom_bundle: Path, phantom_patches: list[Path], runtime: Runtime) -> None:
    with Predictor.load(phantom_bundle, backend=runtime) as predictor:
        for path in phantom_patches[:4]:
            found = predictor.explain(path)
            assert untimed(found.prediction) == untimed(predictor.predict(path))
            assert found.label == found.prediction.verdict.label
            saliency = find(phantom_bundle).manifest.saliency
            assert saliency is not None
            assert (*found.grid.shape, found.layer) == (*saliency.grid[:2], saliency.layer)
            assert found.on_picture().shape == found.picture.pixels.shape[:2]


def test_interpreters_and_precisions_give_one_map(phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    maps = []
    for runtime in RUNTIMES:
        for precision in (Precision.INT8, Precision.FLOAT32):
            with Predictor.load(phantom_bundle, backend=runtime, precision=precision) as predictor:
                maps.append(predictor.explain(phantom_patches[0], label="malignant").grid)
    assert maps[0].any()
    for other in maps[1:]:
        assert np.abs(other - maps[0]).max() <= 1e-5 * maps[0].max()


def test_each_label_has_its_own_map(phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    with Predictor.load(phantom_bundle) as predictor:
        maps = {label: predictor.explain(phantom_patches[0], label=label).grid for label in predictor.spec.labels}
        with pytest.raises(UsageError, match="expected one of benign, malignant"):
            predictor.explain(phantom_patches[0], label="other")
    assert not np.array_equal(maps["benign"], maps["malignant"])


def test_eight_threads_get_the_maps_of_one(phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    with Predictor.load(phantom_bundle) as predictor:
        alone = [predictor.explain(path).grid for path in phantom_patches]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda path: predictor.explain(path).grid, phantom_patches))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_regions_map_lies_in_its_square(edited_bundle: Edit, phantom_patches: list[Path]) -> None:
    rule = RegionCrop(margin=1.5, least_half_px=12.0)
    fields = {"margin": rule.margin, "least_half_px": rule.least_half_px}
    bundle = edited_bundle(lambda manifest: manifest["spec"].update(region=fields))
    region = Region(10, 30, 12)
    with Predictor.load(bundle) as predictor:
        found = predictor.explain(phantom_patches[0], region=region)
    x, y, side = rule.square(region)
    assert found.box == (x, y, x + side, y + side)
    shown = ~np.isnan(found.on_picture())
    assert shown.sum() == (min(x + side, 50) - max(x, 0)) * (min(y + side, 50) - max(y, 0))


def test_a_letterboxed_images_map_covers_the_black_borders_too(
    phantom_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phantom's steps have no letterbox, so that one is put in place of them when the box is computed."""
    monkeypatch.setattr(explainer, "covered", lambda _, width, height: covered((Letterbox(50, 50),), width, height))
    image = tmp_path / "wide.png"
    assert cv2.imwrite(str(image), np.random.default_rng(3).integers(0, 256, (60, 100, 3), dtype=np.uint8))
    with Predictor.load(phantom_bundle) as predictor:
        found = predictor.explain(image)
    assert found.box == (0, -20, 100, 80)
    whole = stretched(found.grid, 100, 100)
    assert np.array_equal(found.on_picture(), whole[20:80])


def test_a_bundle_from_before_heatmaps_is_refused_with_the_remedy(
    edited_bundle: Edit, phantom_patches: list[Path]
) -> None:
    bundle = edited_bundle(lambda manifest: manifest.pop("saliency"))
    with Predictor.load(bundle) as predictor, pytest.raises(SaliencyError, match="export the model again") as caught:
        predictor.explain(phantom_patches[0])
    assert (caught.value.code, caught.value.exit_code) == ("saliency_missing", 3)


def test_a_bundle_without_heatmaps_says_why(edited_bundle: Edit, phantom_patches: list[Path]) -> None:
    why = "its head holds a layer, whose gradient is not known here"
    bundle = edited_bundle(
        lambda manifest: manifest.update(saliency={**manifest["saliency"], "method": "none", "why": why})
    )
    with Predictor.load(bundle) as predictor, pytest.raises(SaliencyError, match=why):
        predictor.explain(phantom_patches[0])


def test_a_model_file_alone_explains_nothing(phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    with (
        Predictor.load(phantom_bundle / "model.float32.tflite") as predictor,
        pytest.raises(SaliencyError, match="single model files"),
    ):
        predictor.explain(phantom_patches[0])


def test_maps_without_a_label_take_none(edited_bundle: Edit, phantom_patches: list[Path]) -> None:
    heavy = "its head is too heavy"
    change = {"method": "eigen-cam", "why": heavy}
    bundle = edited_bundle(lambda manifest: manifest.update(saliency={**manifest["saliency"], **change}))
    with Predictor.load(bundle) as predictor, pytest.raises(UsageError, match=heavy):
        predictor.explain(phantom_patches[0], label="malignant")


def test_a_feature_map_of_another_shape_is_no_map(edited_bundle: Edit, phantom_patches: list[Path]) -> None:
    bundle = edited_bundle(lambda manifest: manifest["saliency"].update(grid=[9, 9, 9]))
    with Predictor.load(bundle) as predictor, pytest.raises(BackendError, match=r"feature map of \(9, 9, 9\)"):
        predictor.explain(phantom_patches[0])


def test_an_altered_head_is_refused(bundle_copy: Path, phantom_patches: list[Path]) -> None:
    path = bundle_copy / "saliency.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with Predictor.load(bundle_copy) as predictor:
        predictor.predict(phantom_patches[0])
        with pytest.raises(IntegrityError, match=r"saliency\.npz"):
            predictor.explain(phantom_patches[0])


def test_a_closed_predictor_explains_nothing(phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    predictor = Predictor.load(phantom_bundle, precision=Precision.FLOAT32)
    predictor.close()
    with pytest.raises(BackendError, match="closed"):
        predictor.explain(phantom_patches[0])
