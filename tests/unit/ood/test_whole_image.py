"""A model of regions that judges whole images: the image as read is held against its own, never the square."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import ColourOrder, Marked, Prediction, Predictor, Region
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import ManifestError
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.images.region import RegionCrop, crop
from edge_runtime.ood.detector import NAMES, STATISTICS, Familiarity, WholeImage
from edge_runtime.ood.statistics import statistics
from edge_runtime.serialisation.records import canonical_json, from_dict, from_json, to_dict

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]
RULE = RegionCrop(margin=1.5, least_half_px=12.0)
REGIONS = (Region(60, 45, 20), Region(118, 2, 30), Region(30, 90.5, 11))
LEAST_PX = 80


def film(seed: int = 0) -> np.ndarray:
    """A drawn film of 120×100 px: grey tissue, each film another, and black around it."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((100, 120), np.uint8)
    cv2.ellipse(pixels, (60 + 5 * seed, 50), (50, 40), 0, 0, 360, 130, -1)
    noise = cv2.GaussianBlur(rng.normal(0, 60, pixels.shape), (0, 0), 2)
    return np.where(pixels > 0, (pixels + noise).clip(1, 255), 0).astype(np.uint8)


def known(whole: WholeImage | None, limit: float = 1.0) -> Familiarity:
    """Say that the model is for images like one film: within .1 in all statistics together, times ``limit``."""
    mean = statistics(DecodedImage("own", film(), ColourOrder.GREY))
    whitening = (np.eye(len(NAMES)) * 10)[np.tril_indices(len(NAMES))]
    return Familiarity(STATISTICS, tuple(mean.tolist()), tuple(whitening.tolist()), limit, whole)


def distance(pixels: np.ndarray) -> float:
    """The oracle: ten times the Euclidean distance between the statistics of two images."""
    found = (statistics(DecodedImage("p", p, ColourOrder.GREY)) for p in (pixels, film()))
    return float(10 * np.linalg.norm(np.subtract(*found)))


@pytest.fixture
def bundle(edited_bundle: Edit) -> Callable[[WholeImage | None], Path]:
    """Return a function that gives the phantom bundle a region rule and a familiarity."""

    def made(whole: WholeImage | None) -> Path:
        fields = {"region": to_dict(RULE), "familiarity": to_dict(known(whole))}
        return edited_bundle(lambda manifest: manifest["spec"].update(fields))

    return made


def test_the_whole_image_is_judged_whatever_region_is_asked_about(
    bundle: Callable[[WholeImage | None], Path],
) -> None:
    with Predictor.load(bundle(WholeImage(LEAST_PX))) as predictor:
        for seed in (0, 1, 2):
            for region in REGIONS:
                found = predictor.predict(film(seed), region=region)
                assert found.familiarity == pytest.approx(distance(film(seed)), rel=1e-9, abs=1e-12)
        assert found.familiarity is not None and found.familiarity > 0
        inverted = predictor.predict(255 - film(), region=REGIONS[0])
    assert inverted.familiarity == pytest.approx(distance(255 - film()))
    assert (inverted.verdict.decision, inverted.verdict.reason) == (Decision.REFER, Reason.UNFAMILIAR_INPUT)


def test_without_the_field_the_square_is_judged_as_before(bundle: Callable[[WholeImage | None], Path]) -> None:
    with Predictor.load(bundle(None)) as predictor:
        for region in REGIONS:
            square = crop(DecodedImage("film", film(), ColourOrder.GREY), region, RULE).pixels
            assert predictor.predict(film(), region=region).familiarity == pytest.approx(distance(square))
            assert distance(square) > 0


def test_a_crop_handed_in_as_a_image_is_referred(bundle: Callable[[WholeImage | None], Path]) -> None:
    """The square alone holds the same pixels around the region; its film's surround is gone."""
    square = crop(DecodedImage("film", film(), ColourOrder.GREY), REGIONS[0], RULE).pixels
    centre = Region(len(square) // 2, len(square) // 2, REGIONS[0].radius)
    with Predictor.load(bundle(WholeImage(1))) as predictor:
        assert predictor.predict(film(), region=REGIONS[0]).verdict.reason is not Reason.UNFAMILIAR_INPUT
        assert predictor.predict(square, region=centre).verdict.reason is Reason.UNFAMILIAR_INPUT


def test_a_image_with_too_short_a_side_is_unfamiliar_and_one_of_that_side_is_not(
    bundle: Callable[[WholeImage | None], Path],
) -> None:
    path = bundle(WholeImage(100))
    with Predictor.load(path) as predictor:
        assert predictor.predict(film(), region=REGIONS[0]).familiarity == 0.0
        lower = np.ascontiguousarray(film()[:99])
        found = predictor.predict(lower, region=REGIONS[0])
    assert found.familiarity == pytest.approx(max(100 / 99, distance(lower)))
    assert found.verdict.reason is Reason.UNFAMILIAR_INPUT
    near = dataclasses.replace(known(WholeImage(200)), limit=1e6)
    assert near.share(DecodedImage("p", film(), ColourOrder.GREY)) == 2.0, (
        "twice too short, however like its statistics"
    )


def test_files_arrays_workers_and_heatmaps_say_the_same(
    bundle: Callable[[WholeImage | None], Path], tmp_path: Path
) -> None:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), film(1))
    with Predictor.load(bundle(WholeImage(LEAST_PX))) as predictor:
        expected = known(WholeImage(LEAST_PX)).share(read(path))
        many = list(predictor.predict_all([Marked(path, region) for region in REGIONS], workers=2))
        shown = predictor.explain(path, region=REGIONS[0])
        answers = [predictor.predict(film(1), region=REGIONS[0]), shown.prediction, *many]
    assert shown.exact.reason is shown.prediction.verdict.reason
    for answer in answers:
        assert isinstance(answer, Prediction) and answer.familiarity == expected


def test_a_spec_without_region_cannot_ask_for_the_whole_image(phantom_bundle: Path) -> None:
    plain = find(phantom_bundle).manifest.spec
    with pytest.raises(ValueError, match="found whole, expected none in a spec without region"):
        dataclasses.replace(plain, familiarity=known(WholeImage(1)))
    assert dataclasses.replace(plain, familiarity=known(WholeImage(1)), region=RULE).contract == plain.contract
    fields = to_dict(dataclasses.replace(plain, familiarity=known(None)))
    fields["familiarity"]["whole"] = {"least_side_px": 1}
    with pytest.raises(ManifestError, match=r"^spec: familiarity: found whole"):
        from_dict(ModelSpec, fields, "spec")


def test_the_field_comes_back_from_json_and_is_absent_where_it_is_not_asked() -> None:
    whole = known(WholeImage(LEAST_PX))
    assert from_json(Familiarity, canonical_json(whole), "text") == whole
    assert to_dict(whole)["whole"] == {"least_side_px": LEAST_PX}
    assert set(to_dict(known(None))) == {"statistics", "mean", "whitening", "limit"}


@pytest.mark.parametrize("least", [0, -5])
def test_a_side_that_is_none_is_refused(least: int) -> None:
    with pytest.raises(ValueError, match=f"found least_side_px {least}, expected 1 or more"):
        WholeImage(least)
