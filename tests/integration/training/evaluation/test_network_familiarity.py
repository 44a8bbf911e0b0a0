"""The check on the network's features: fitted on training images, its limit on validation images."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from edge_runtime.images.region import Region
from edge_runtime.ood.image_limits import ImageLimits
from edge_runtime.ood.network_features import MOST_COMPONENTS
from edge_runtime.serialisation.float16 import unpacked
from edge_runtime.serialisation.records import canonical_json, from_json
from training.data.alterations import Alteration
from training.data.datasets import Sample
from training.errors import DatasetError
from training.evaluation.discriminants import AlteredFeatures
from training.evaluation.feature_extractor import FeatureExtractor, ImageFeatures
from training.evaluation.image_limits import LEAST_DARK, fit_limits
from training.evaluation.network_familiarity import (
    LEAST,
    NetworkFamiliarity,
    common_limits,
    fit_network_familiarity,
)
from training.recipes import find_recipe
from training.recipes.recipe import FamiliarLayer, ImageLimit

FEATURES, LAYER = 24, FamiliarLayer("block")
MIXING = np.random.default_rng(99).normal(size=(FEATURES, FEATURES)) / 20


def cloud(patients: int, each: int, seed: int, *, sites: int = 1, apart: float = 0.0) -> ImageFeatures:
    """Patients differ among each other, and images of one patient too; sites differ by ``apart``."""
    rng = np.random.default_rng(seed)
    site = np.arange(patients * each) // each % sites
    shift = np.random.default_rng(7).normal(0, apart, (sites, FEATURES))[site]
    of_patient = np.repeat(rng.normal(0, 0.3, (patients, FEATURES)), each, axis=0)
    rows = (of_patient + shift + rng.normal(size=(patients * each, FEATURES))) @ MIXING + 1.0
    groups = np.repeat([f"p{i:03}" for i in range(patients)], each)
    return ImageFeatures(rows, groups, np.array([f"s{i}" for i in site]))


def fitted(share: float = 0.02, layer: FamiliarLayer = LAYER) -> NetworkFamiliarity:
    known = fit_network_familiarity(cloud(100, 10, 0), cloud(100, 10, 1), layer, share).familiarity
    assert isinstance(known, NetworkFamiliarity)
    return known


@pytest.mark.parametrize("scaled", [True, False])
def test_the_share_asked_for_is_kept_on_patients_never_seen(scaled: bool) -> None:
    for share in (0.02, 0.1):
        known = fitted(share, FamiliarLayer("block", scaled=scaled))
        beyond = known.distances(cloud(300, 10, seed=2).values) > known.limit
        assert 0.5 * share < beyond.mean() < 1.6 * share, beyond.mean()


def test_other_features_are_far_along_the_components_and_outside() -> None:
    known = fitted()
    own = cloud(20, 10, seed=3).values
    assert (known.distances(own + 3.0) > known.limit).all()
    assert (known.distances(1.0 - 4 * (own - 1.0)) > known.limit).mean() > 0.95


def test_all_components_with_as_many_images_are_the_whole_covariance() -> None:
    seen = cloud(100, 10, 0)
    known = fit_network_familiarity(seen, seen, LAYER, 0.02).familiarity
    assert isinstance(known, NetworkFamiliarity)
    assert len(known.deviations) == FEATURES - 1 < MOST_COMPONENTS
    off = seen.values[:50] - seen.values.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", off, np.linalg.inv(np.cov(seen.values.T)), off))
    np.testing.assert_allclose(known.distances(seen.values[:50]), expected, rtol=0.1)


def test_json_holds_the_numbers_that_were_fitted_and_is_short() -> None:
    known = fitted()
    text = canonical_json(known)
    read = from_json(NetworkFamiliarity, text, "familiarity")
    assert read == known
    rows = cloud(20, 10, seed=4).values
    np.testing.assert_array_equal(read.distances(rows), known.distances(rows))
    assert len(base64.b64decode(known.components)) == 2 * FEATURES * len(known.deviations)
    assert len(text) < 3 * FEATURES * len(known.deviations) + 24 * FEATURES + 1000


def test_a_patient_with_many_images_counts_as_one() -> None:
    train, some = cloud(100, 10, 0), cloud(100, 10, 1)
    far = ImageFeatures(
        np.concatenate([some.values, some.values[:1].repeat(5000, axis=0) + 1.0]),
        np.concatenate([some.groups, np.repeat("p000", 5000)]),
    )
    one, many = (fit_network_familiarity(train, each, LAYER, 0.05).familiarity.limit for each in (some, far))
    assert one < many < 1.3 * one


def test_left_out_sites_raise_the_limit() -> None:
    train, validation = (cloud(90, 10, seed, sites=3, apart=1.0) for seed in (0, 1))
    plain = fit_network_familiarity(train, validation, LAYER, 0.01)
    wide = replace(LAYER, site_share=0.1)
    raised = fit_network_familiarity(train, validation, wide, 0.01)
    assert raised.familiarity.limit > plain.familiarity.limit
    assert "left-out site" in raised.basis and "left-out site" not in plain.basis
    with pytest.raises(DatasetError, match="found 1 sites"):
        fit_network_familiarity(cloud(20, 10, 0), validation, wide, 0.01)


def test_too_few_images_and_impossible_shares_are_refused() -> None:
    few = cloud(LEAST - 1, 1, 0)
    with pytest.raises(DatasetError, match=f"found {LEAST - 1} training and"):
        fit_network_familiarity(few, few, LAYER, 0.01)
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            fit_network_familiarity(cloud(20, 10, 0), cloud(20, 10, 1), LAYER, share)


SPEC = find_recipe("mias-region").spec


def films(folder: Path, *sizes: tuple[int, int], level: int = 0) -> list[Sample]:
    """Images of one level with a grey square in the middle, of height × width."""
    made = []
    for number, (height, width) in enumerate(sizes):
        pixels = np.full((height, width), level, np.uint8)
        pixels[height // 4 : height // 2, width // 4 : width // 2] = 120
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), pixels)
        region = Region(width / 2, height / 2, 10)
        made.append(Sample(f"{path.name}@{region}", path, 0, "p", region))
    return made


def test_limits_of_the_image_are_those_of_the_own_images_with_a_margin(tmp_path: Path) -> None:
    samples = films(tmp_path, (60, 90), (80, 50))
    assert fit_limits(samples, tuple(ImageLimit), SPEC) == ImageLimits(25, 135, LEAST_DARK)
    assert fit_limits(samples, (ImageLimit.MOST_SIDE,), SPEC) == ImageLimits(most_side_px=135)
    assert fit_limits(samples, (), SPEC) is None


def test_images_that_are_not_mostly_dark_give_no_limit_of_darkness(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="dark share of 0"):
        fit_limits(films(tmp_path, (60, 90), level=255), (ImageLimit.LEAST_DARK,), SPEC)


def changed(own: ImageFeatures) -> AlteredFeatures:
    """Images after two changes, each of which moves many features a little."""
    ways = np.random.default_rng(11).choice([-0.8, 0.8], (2, FEATURES)) @ MIXING
    return AlteredFeatures(own.values, {"first": own.values + ways[0], "second": own.values + ways[1]})


@pytest.mark.parametrize("scaled", [True, False])
def test_discriminants_notice_what_the_distance_does_not(scaled: bool) -> None:
    train, layer = cloud(100, 10, 0), FamiliarLayer("block", scaled=scaled)
    fitted = fit_network_familiarity(train, cloud(100, 10, 1), layer, 0.02, altered=changed(train))
    known, new = fitted.familiarity, cloud(300, 10, seed=3)
    assert isinstance(known, NetworkFamiliarity) and known.discriminants is not None
    assert known.discriminants.names == ("first", "second") and "altered: first, second." in fitted.basis
    alone = replace(known, discriminants=None)
    for found in changed(new).altered.values():
        assert (alone.distances(found) > known.limit).mean() < 0.4
        assert (known.distances(found) > known.limit).mean() > 0.8
    assert 0.005 < (known.distances(new.values) > known.limit).mean() < 0.04


def test_left_out_sites_raise_the_limits_of_discriminants() -> None:
    train, validation = (cloud(90, 10, seed, sites=3, apart=3.0) for seed in (0, 1))
    own, wide = (replace(LAYER, site_share=share) for share in (None, 0.02))
    known, raised = (
        fit_network_familiarity(train, validation, layer, 0.01, altered=changed(train)).familiarity.discriminants
        for layer in (own, wide)
    )
    sizes = [
        np.abs(unpacked(each.weights, 2, FEATURES, "weights")).max(axis=1)
        for each in (known, raised)
        if each is not None
    ]
    assert len(sizes) == 2 and (sizes[1] <= sizes[0]).all() and (sizes[1] < sizes[0]).any()


def test_limits_of_several_scores_leave_the_share_out_together() -> None:
    rng = np.random.default_rng(2)
    scores, groups = rng.normal(size=(3, 5000)), np.repeat([f"p{i:03}" for i in range(500)], 10)
    limits = common_limits(scores, groups, 0.03)
    beyond = scores > limits[:, np.newaxis]
    assert 0.027 < beyond.any(axis=0).mean() <= 0.03
    np.testing.assert_allclose(beyond.mean(axis=1), 0.01, atol=0.0008)


def test_a_share_that_refers_most_own_images_is_refused() -> None:
    train = cloud(100, 10, 0)
    with pytest.raises(DatasetError, match="Ask for a smaller share"):
        fit_network_familiarity(train, cloud(100, 10, 1), LAYER, 0.999, altered=changed(train))


def test_images_of_16_bits_are_not_altered(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(3600, dtype=np.uint16).reshape(60, 60) * 16)
    layers = keras.layers
    network = keras.Sequential([keras.Input((128, 128, 1)), layers.Conv2D(2, 3, name="block"), layers.Flatten()])
    extractor = FeatureExtractor(network, "block", SPEC.steps)
    region = Region(30, 30, 20)
    sample = Sample(f"a.png@{region}", tmp_path / "a.png", 0, "p", region)
    with pytest.raises(DatasetError, match="found uint16 pixels, expected uint8"):
        extractor.altered([sample], (Alteration.NEGATIVE,), SPEC)
