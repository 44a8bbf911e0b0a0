"""A limit that holds for patients never seen: fitted by folds of patients, each patient weighing the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge_runtime.ood.detector import NAMES
from edge_runtime.serialisation.records import canonical_json, from_json
from training.errors import DatasetError
from training.evaluation import familiarity as module
from training.evaluation.familiarity import FLOOR, LEAST, Familiarity, ImageStatistics, fit_familiarity, weighted_limit

K = len(NAMES)


def cloud(patients: int, each: int, seed: int, spread: float = 0.3) -> ImageStatistics:
    """Patients differ among each other, and images of one patient too."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(K, K)) / 20
    of_patient = np.repeat(rng.normal(0, spread, (patients, K)), each, axis=0)
    rows = (of_patient + rng.normal(size=(patients * each, K))) @ mixing
    return ImageStatistics(rows, np.repeat([f"p{i:03}" for i in range(patients)], each))


def test_the_share_asked_for_is_kept_on_patients_never_seen() -> None:
    for share in (0.01, 0.05):
        known = fit_familiarity(cloud(100, 30, seed=0), share).familiarity
        beyond = known.distances(cloud(200, 30, seed=1).statistics) > known.limit
        assert 0.3 * share < beyond.mean() < 1.7 * share, beyond.mean()


def test_what_the_distance_was_fitted_on_lies_nearer_than_the_limit_supposes() -> None:
    """Few images for so many statistics: a limit from the fitted ones themselves would refer too many new ones."""
    few, new = cloud(30, 4, seed=2), cloud(400, 4, seed=3)
    known = fit_familiarity(few, 0.05).familiarity
    naive = np.quantile(known.distances(few.statistics), 0.95)
    assert (known.distances(new.statistics) > naive).mean() > 0.1
    assert (known.distances(new.statistics) > known.limit).mean() < 0.06


def test_the_distance_is_of_the_covariance_with_the_floor() -> None:
    seen = cloud(40, 10, seed=4)
    known = fit_familiarity(seen, 0.01).familiarity
    inverse = np.linalg.inv(np.cov(seen.statistics.T) + FLOOR**2 * np.eye(K))
    off = seen.statistics[:50] - seen.statistics.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", off, inverse, off))
    np.testing.assert_allclose(known.distances(seen.statistics[:50]), expected, rtol=5e-3)


def test_a_statistic_that_never_varies_refers_by_its_floor() -> None:
    seen = cloud(40, 10, seed=5)
    seen.statistics[:, 0] = 0.25
    known = fit_familiarity(seen, 0.01).familiarity
    moved = seen.statistics.mean(axis=0)
    moved[0] += 2 * FLOOR
    assert known.distances(moved) == pytest.approx(2.0, rel=1e-2)


def test_no_patient_moves_the_limit_by_many_images() -> None:
    distances = np.array([1.0] * 10 + [2.0] * 10 + [50.0] * 1000)
    groups = np.array(["a"] * 10 + ["b"] * 10 + ["c"] * 1000)
    assert weighted_limit(distances, groups, 0.4) == 2.0
    assert weighted_limit(distances, groups, 0.3) == 50.0


def test_the_limit_is_the_smallest_that_keeps_the_share() -> None:
    rng = np.random.default_rng(6)
    for size, share in itertools.product((3, 10, 57), (0.001, 0.1, 0.34, 0.9)):
        distances, groups = rng.choice(20, size).astype(float), rng.choice(["a", "b", "c"], size)

        def beyond(limit: float, d: np.ndarray = distances, g: np.ndarray = groups) -> float:
            return float(np.mean([(d[g == name] > limit).mean() for name in np.unique(g)]))

        limit = weighted_limit(distances, groups, share)
        kept = [d for d in np.unique(distances) if beyond(d) <= share + 1e-9]
        assert limit == min(kept)


def test_rounding_keeps_the_json_short_and_the_limit_on_the_safe_side() -> None:
    known = fit_familiarity(cloud(40, 10, seed=7), 0.01).familiarity
    text = canonical_json(known)
    assert len(text) < 5000
    assert from_json(Familiarity, text, "text") == known
    for value in (9.48449, 123.45678, 0.98765432, 1.0, 9.9999):
        rounded = module._rounded(value, up=True)
        assert value <= rounded <= value * 1.002


def test_the_basis_says_on_whom_and_what() -> None:
    fitted = fit_familiarity(cloud(40, 10, seed=8), 0.01)
    assert f"{fitted.familiarity.limit:g}" in fitted.basis
    assert "400 images of 40 training and validation patients" in fitted.basis


@pytest.mark.parametrize(("patients", "each"), [(4, 100), (6, LEAST // 6 - 1)], ids=["patients", "pictures"])
def test_too_little_to_fit_on_is_refused(patients: int, each: int) -> None:
    with pytest.raises(DatasetError, match=f"found {patients * each} images of {patients} patients, expected"):
        fit_familiarity(cloud(patients, each, seed=9), 0.01)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        fit_familiarity(cloud(40, 10, seed=9), share)
