"""The check on features of the network: its distance, its JSON, and specs of the other kind that keep their bytes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ManifestError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.ood.detector import NAMES, STATISTICS, Familiarity
from edge_runtime.ood.discriminants import Discriminants
from edge_runtime.ood.image_limits import ImageLimits
from edge_runtime.ood.network_features import FEATURES, NetworkFamiliarity, features
from edge_runtime.serialisation.float16 import packed
from edge_runtime.serialisation.records import canonical_json, from_dict, to_dict
from tests.system_4 import BUNDLE

CHANNELS, COMPONENTS = 3, 2


def known(**changed: Any) -> NetworkFamiliarity:
    """Two components along the first two features; the other four are the residual."""
    rows = np.eye(2 * CHANNELS)[:COMPONENTS]
    made = NetworkFamiliarity(FEATURES, "block", (0.5,) * 6, (2.0,) * 6, packed(rows), (0.5, 0.25), 0.125, 4.0)
    return dataclasses.replace(made, **changed)


def test_features_are_means_and_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    maps = rng.gamma(2.0, size=(5, 7, 9, CHANNELS)).astype(np.float32)
    moments = np.concatenate([maps.mean(axis=(1, 2)), (maps.astype(np.float64) ** 2).mean(axis=(1, 2))], axis=1)
    expected = np.concatenate([maps.mean(axis=(1, 2)), maps.std(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(features(moments.astype(np.float32)), expected, rtol=1e-5)
    assert features(moments).dtype == np.float64


def test_a_constant_map_has_no_spread_although_its_moments_are_rounded() -> None:
    level = np.float32(0.1)
    assert features(np.array([level, np.nextafter(level * level, np.float32(0))])).tolist() == [float(level), 0.0]


def test_the_distance_is_mahalanobis_on_the_components_and_scaled_outside() -> None:
    rows = np.random.default_rng(1).normal(size=(20, 2 * CHANNELS))
    covariance = np.diag([0.5**2, 0.25**2] + [0.125**2] * 4)
    expected = [mahalanobis((row - 0.5) / 2.0, np.zeros(6), np.linalg.inv(covariance)) for row in rows]
    np.testing.assert_allclose(known().distances(rows), expected, rtol=1e-12)
    assert known().distances(rows[0]) == pytest.approx(expected[0])
    assert known().distances(np.full(6, 0.5)) == 0.0


def test_the_share_is_the_distance_of_the_moments_over_the_limit() -> None:
    moments = np.array([0.4, 0.5, 0.6, 0.3, 0.5, 0.4], np.float32)
    expected = known().distances(features(moments)) / 4.0
    assert known().share(moments) == expected
    assert known().shares(np.stack([moments, moments])).tolist() == [expected] * 2


@pytest.mark.parametrize(
    "changed",
    [
        {"statistics": STATISTICS},
        {"layer": ""},
        {"mean": (0.5,) * 5},
        {"scale": (1.0,) * 4},
        {"scale": (0.0,) * 6},
        {"deviations": ()},
        {"deviations": (0.5, 0.0)},
        {"deviations": (0.5,)},
        {"residual": 0.0},
        {"components": "no base64"},
        {"components": "AAAA"},
        {"limit": 0.0},
        {"limit": float("inf")},
    ],
    ids=str,
)
def test_numbers_that_are_no_distance_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"familiarity.*: found"):
        known(**changed)


def test_components_that_are_not_finite_are_refused() -> None:
    rows = np.full((COMPONENTS, 2 * CHANNELS), np.nan)
    with pytest.raises(ValueError, match="NaN or infinity"):
        known(components=packed(rows))


def test_a_spec_reads_each_kind_by_its_statistics() -> None:
    spec = find(BUNDLE).manifest.spec
    image = Familiarity(STATISTICS, (0.0,) * len(NAMES), (1.0,) * (len(NAMES) * (len(NAMES) + 1) // 2), 3.0)
    for check in (None, image, known()):
        made = dataclasses.replace(spec, familiarity=check)
        read = from_dict(ModelSpec, to_dict(made), "spec")
        assert read == made and type(read.familiarity) is type(check)
        assert (read.image_check, read.network_check) == (
            check if check is image else None,
            check if check == known() else None,
        )
    assert "CHOSEN_BY" not in canonical_json(known()) and '"kind"' not in canonical_json(known())


def test_statistics_of_another_release_are_refused_with_a_remedy() -> None:
    spec = find(BUNDLE).manifest.spec
    fields = to_dict(dataclasses.replace(spec, familiarity=known()))
    fields["familiarity"]["statistics"] = "network-features/9"
    with pytest.raises(ManifestError, match="familiarity"):
        from_dict(ModelSpec, fields, "spec")


def with_discriminants() -> NetworkFamiliarity:
    weights = packed(np.array([[0.5, 0, 0, 0, 0, -0.25], [0, 2.0, 0, 0, 0, 0]]))
    return known(discriminants=Discriminants(("enlarged", "grey"), weights, (0.125, -0.5)))


def test_the_largest_discriminant_is_a_distance_in_units_of_the_limit() -> None:
    check = with_discriminants()
    rows = np.random.default_rng(5).normal(0.5, 1.0, size=(50, 6))
    scaled = (rows - 0.5) / 2.0
    values = np.maximum(0.5 * scaled[:, 0] - 0.25 * scaled[:, 5] + 0.125, 2.0 * scaled[:, 1] - 0.5)
    np.testing.assert_allclose(check.distances(rows), np.maximum(known().distances(rows), 4.0 * values), rtol=1e-12)
    far = np.array([0.5, 4.5, 0.5, 0.5, 0.5, 0.5])
    assert check.distances(far) == max(4.0 * 3.5, float(known().distances(far)))
    assert check.distances(np.full(6, 0.5)) == 4.0 * 0.125


@pytest.mark.parametrize(
    "names, weights, offsets, message",
    [
        ((), "", (), "found discriminants"),
        (("a", "a"), "", (0.0, 0.0), "found discriminants"),
        (("",), "", (0.0,), "found discriminants"),
        (("a",), "", (0.0, 1.0), "expected 1 finite numbers"),
        (("a",), "", (float("nan"),), "expected 1 finite numbers"),
        (("a",), "AAAA", (0.0,), "found base64 of 3 bytes, expected 12"),
        (("a",), packed(np.full((1, 6), np.inf)), (0.0,), "found NaN or infinity"),
    ],
)
def test_discriminants_that_are_none_are_refused(
    names: tuple[str, ...], weights: str, offsets: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        known(discriminants=Discriminants(names, weights, offsets))


def test_limits_of_the_image_hold_for_the_image_as_read() -> None:
    small, large = (DecodedImage("p", np.zeros((side, side), np.uint8), ColourOrder.GREY) for side in (40, 100))
    assert known().image_share(small, large) is None and known().image_shares([small]) == [None]
    check = known(image=ImageLimits(least_side_px=60))
    assert (check.image_share(small, large), check.image_share(large, small)) == (1.5, 0.0)
    assert check.image_shares([small, large]) == [1.5, 0.0]


def test_json_holds_discriminants_and_limits_only_where_they_are_set() -> None:
    spec = find(BUNDLE).manifest.spec
    assert not {"discriminants", "image"} & set(to_dict(known()))
    check = dataclasses.replace(with_discriminants(), image=ImageLimits(least_dark=0.25))
    fields = to_dict(dataclasses.replace(spec, familiarity=check))
    assert fields["familiarity"]["discriminants"]["names"] == ["enlarged", "grey"]
    assert fields["familiarity"]["image"] == {"least_dark": 0.25}
    assert from_dict(ModelSpec, fields, "spec").familiarity == check
