"""Parity figures of the manifest and the guard band, computed here by hand for one sigmoid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_runtime.bundle.manifest import Parity, Precision
from export.validation.parity import exceptions, guard_band, measure
from tests.parity.one_sigmoid import SPEC, answers, column, logit, sigmoid

KERAS = column(2.0, -2.0, 0.3, -1.0)
FLOAT32 = column(2.0, -2.0, 0.25, -1.0)
INT8 = column(2.5, -2.0, -0.1, -1.25)
"""The third answer flips; it is the only one within 0.1 of the cut-off."""


def measured(precision: Precision, logits: np.ndarray, band: float) -> Parity:
    return measure(answers(precision, logits), FLOAT32, KERAS, SPEC, band)


def test_a_row_of_the_manifest_holds_the_differences_and_what_the_band_mends() -> None:
    row = measured(Precision.INT8, INT8, 0.1)
    scores = [abs(sigmoid(float(a)) - sigmoid(float(b))) for a, b in zip(INT8[:, 0], KERAS[:, 0], strict=True)]
    assert (row.file, row.runtime, row.images) == ("model.onnx", "onnxruntime", 4)
    assert (row.logit_max, row.logit_mean) == (0.5, 0.2875)
    assert row.score_max == pytest.approx(max(scores), rel=1e-3)
    assert row.score_mean == pytest.approx(sum(scores) / 4, rel=1e-3)
    assert (row.flips, row.flips_guarded, row.reruns) == (1, 0, 1)


def test_a_band_that_is_too_narrow_mends_nothing() -> None:
    row = measured(Precision.INT8, INT8, 0.02)  # the flipped score lies 0.025 below the cut-off
    assert (row.flips, row.flips_guarded, row.reruns) == (1, 1, 0)


def test_a_score_on_the_edge_of_the_band_is_a_rerun() -> None:
    on = column(0.4, -2.0, 0.3, -1.0)
    edge = 1 / (1 + np.exp(-np.float64(np.float32(0.3)))) - 0.5  # the nearest of the four
    assert measured(Precision.INT8, on, float(edge)).reruns == 1
    assert measured(Precision.INT8, on, float(np.nextafter(edge, 0))).reruns == 0


def test_without_a_band_or_rounding_nothing_is_run_again() -> None:
    on = column(0.0, -2.0, 0.3, -1.0)
    assert measured(Precision.INT8, on, 0.0).reruns == 0
    row = measured(Precision.FLOAT32, INT8, 0.1)
    assert (row.flips, row.flips_guarded, row.reruns) == (1, 1, 0)
    assert measured(Precision.FLOAT16, INT8, 0.1).reruns == 1


def test_the_band_reaches_the_farthest_disagreement() -> None:
    """Of 40 pairs one disagrees, with an int8 score 0.125 from the cut-off; the others agree to the bit."""
    float32 = column(*[3.0] * 39, -3.0)
    int8 = column(*[3.0] * 39, logit(0.625))
    assert guard_band([(float32, float32), (int8, float32)], SPEC) == pytest.approx(0.125, abs=2e-6)
    assert guard_band([(int8, float32), (float32, float32)], SPEC) >= 0.125


def test_the_band_is_no_narrower_than_the_usual_error_of_score_or_confidence() -> None:
    """19 of 20 images err by 0.01: of 20 that is the 0.95 quantile. None disagrees."""
    float32 = column(*[logit(0.8)] * 21)
    int8 = column(*[logit(0.81)] * 10, *[logit(0.79)] * 10, logit(0.9))
    assert guard_band([(int8, float32)], SPEC) == pytest.approx(0.01, abs=2e-6)
    assert guard_band([(float32, float32)], SPEC) == pytest.approx(0.0, abs=2e-6)
    assert guard_band([], SPEC) == pytest.approx(0.0, abs=2e-6)


def test_the_band_is_rounded_up_to_six_digits() -> None:
    """Rounded down it would leave out the very image that it was measured on."""
    for away in (0.1234564, 0.1234561, 0.1234569):
        float32, int8 = column(*[3.0] * 39, -3.0), column(*[3.0] * 39, logit(0.5 + away))
        exact = 1 / (1 + math.exp(-float(int8[-1, 0]))) - 0.5
        found = guard_band([(int8, float32)], SPEC)
        assert exact <= found <= exact + 1.1e-6
        assert found == round(found, 6)


def test_answers_to_other_images_are_never_compared() -> None:
    """One answer would otherwise be held against each of many."""
    with pytest.raises(ValueError, match=r"shorter|longer"):
        guard_band([(KERAS[:1], KERAS)], SPEC)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        measure(answers(Precision.FLOAT32, KERAS), KERAS, KERAS[:1], SPEC, 0.0)


def test_the_bound_on_exceptions_is_that_of_independent_draws() -> None:
    """(1 - p)^n = 0.05: drawing n images without an exception then happens one time in twenty."""
    for images in (1, 60, 300):
        assert (1 - exceptions(images)) ** images == pytest.approx(0.05, rel=0.02)
