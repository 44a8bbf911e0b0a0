"""Every exported file against the Keras model: each figure and each limit, worked out here by hand.

The model is one sigmoid with a cut-off of 0.5, so that a score is 1/(1+e^-z) and a decision is the sign of z.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.manifest import FileEntry, Format, Parity, Precision, Role
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec, ParityTolerance
from edge_runtime.images.colour import ColourOrder
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize
from export.errors import ParityError
from export.validation.parity import FileLogits, allowed_flips, answer, check, exceptions, guard_band, judge, measure

STEPS = (Colour(ColourOrder.RGB), Resize(8, 8, Interpolation.LINEAR_EXACT, PixelType.UINT8))
TOLERANCE = ParityTolerance(float32_logit_max=0.01, int8_score_mean=0.02, int8_flips_per_1000=5.0)
SPEC = ModelSpec(
    "some-model",
    "1.0.0",
    "for tests",
    STEPS,
    ("a", "b"),
    ("b",),
    Head.SIGMOID,
    DecisionPolicy(0.5, 0.0),
    tolerance=TOLERANCE,
)


REFUSAL = (
    r"model\.onnx on onnxruntime: WHAT\d*, tolerance 0\.01, over logits of shape \(2, 1\)\. Nothing was written\. "
    r"For an int8 file, add calibration images; for a float32 file, look for a conversion fault\."
)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1)


def answers(precision: Precision, logits: np.ndarray) -> FileLogits:
    entry = FileEntry("model.onnx", Role.MODEL, "0" * 64, 1, Format.ONNX, precision)
    return FileLogits(entry, Runtime.ONNXRUNTIME, logits)


FAR = column(*[4.0] * 6, *[-4.0] * 6)
"""Twelve answers far from the cut-off: six of either side."""


def flipped(count: int) -> np.ndarray:
    """FAR with the first ``count`` positive answers a little below the cut-off, and the others as near as above."""
    return np.where(np.arange(len(FAR))[:, None] < count, np.float32(-0.001), FAR)


def test_at_least_one_flip_is_allowed_and_then_so_many_of_a_thousand() -> None:
    found = {images: allowed_flips(images, SPEC) for images in (1, 100, 200, 399, 400, 599, 600, 1000, 1220)}
    assert found == {1: 1, 100: 1, 200: 1, 399: 1, 400: 2, 599: 2, 600: 3, 1000: 5, 1220: 6}
    none = replace(SPEC, tolerance=replace(TOLERANCE, int8_flips_per_1000=0.0))
    assert allowed_flips(5000, none) == 1


@pytest.mark.parametrize("precision", Precision)
def test_another_shape_or_no_number_is_no_parity(precision: Precision) -> None:
    with pytest.raises(ParityError, match=r"model\.onnx on onnxruntime: logits of shape \(11, 1\), the Keras .*12, 1"):
        check(answers(precision, FAR[1:]), FAR, SPEC)
    for value in (np.nan, np.inf):
        broken = FAR.copy()
        broken[3:5] = value
        with pytest.raises(ParityError, match=r"2 of 12 logits are not finite"):
            check(answers(precision, broken), FAR, SPEC)


@pytest.mark.parametrize("precision", Precision)
def test_the_same_logits_pass(precision: Precision) -> None:
    check(answers(precision, FAR), FAR, SPEC)


@pytest.mark.parametrize(
    "reference, off, passes",
    [
        (100.0, 0.99, True),  # relative to the logit where that is over 1
        (100.0, 1.01, False),
        (-100.0, 0.99, True),
        (-100.0, 1.01, False),
        (0.1, 0.0099, True),  # absolute where it is less
        (0.1, 0.0101, False),
    ],
)
def test_a_float32_file_may_stray_by_a_share_of_its_largest_logit(reference: float, off: float, passes: bool) -> None:
    keras = column(0.5, reference)
    for sign in (1, -1):
        found = answers(Precision.FLOAT32, column(0.5, reference + sign * off))
        if passes:
            check(found, keras, SPEC)
        else:
            with pytest.raises(ParityError) as caught:
                check(found, keras, SPEC)
            assert re.fullmatch(REFUSAL.replace("WHAT", r"relative \|Δ logit\| is 0\.0101"), str(caught.value))


def test_a_difference_on_the_tolerance_passes() -> None:
    exact = replace(SPEC, tolerance=replace(TOLERANCE, float32_logit_max=0.25))
    check(answers(Precision.FLOAT32, column(0.75)), column(0.5), exact)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FLOAT16])
def test_a_rounded_file_may_stray_by_a_mean_score(precision: Precision) -> None:
    """One image of four strays, up or down: its distance counts a quarter."""
    base = column(*[logit(0.8)] * 4)
    for strayed, passes in ((0.8 + 0.079, True), (0.8 + 0.081, False), (0.8 - 0.079, True), (0.8 - 0.081, False)):
        found = base.copy()
        found[2] = logit(strayed)
        if passes:
            check(answers(precision, found), base, SPEC)
        else:
            with pytest.raises(ParityError, match=r"mean \|Δ score\| is 0\.0202\d+, tolerance 0\.02, over .*\(4, 1\)"):
                check(answers(precision, found), base, SPEC)


def test_a_rounded_file_may_flip_one_decision_and_not_two() -> None:
    lenient = replace(SPEC, tolerance=replace(TOLERANCE, int8_score_mean=1.0))
    check(answers(Precision.INT8, flipped(1)), FAR, lenient)
    with pytest.raises(ParityError, match=r"flipped decisions is 2, tolerance 1"):
        check(answers(Precision.INT8, flipped(2)), FAR, lenient)


def test_an_attempt_counts_flips_and_score_and_passes_within_both_limits(tmp_path: Path) -> None:
    file = tmp_path / "model.int8.tflite"
    file.write_bytes(b"x" * 321)
    lenient = replace(SPEC, tolerance=replace(TOLERANCE, int8_score_mean=0.2))
    for count in range(4):
        found = judge(file, "some way", flipped(count), FAR, lenient)
        mean = count * abs(sigmoid(-0.001) - sigmoid(4.0)) / 12
        assert (found.file, found.how, found.failure) == ("model.int8.tflite", "some way", "")
        assert (found.size_bytes, found.images, found.flips) == (321, 12, count)
        assert found.score_mean == pytest.approx(mean, rel=1e-3)
        assert found.passed is (count <= 1), f"{count} flips"
    strict = replace(SPEC, tolerance=replace(TOLERANCE, int8_score_mean=0.01))
    assert not judge(file, "some way", flipped(1), FAR, strict).passed


def test_an_attempt_on_its_limit_passes(tmp_path: Path) -> None:
    """Scores of 0.5, 1 and 1 against 1, 1 and 0: no rounding anywhere. Both means are 0.5."""
    (file := tmp_path / "m").write_bytes(b"")
    found, reference = column(0.0, 1000.0, 1000.0), column(1000.0, 1000.0, -1000.0)
    for limit, passed in ((0.5, True), (math.nextafter(0.5, 0), False)):
        spec = replace(SPEC, tolerance=replace(TOLERANCE, int8_score_mean=limit))
        assert judge(file, "", found, reference, spec).passed is passed
        assert judge(file, "", found, reference, spec).score_mean == 0.5


@pytest.mark.parametrize("broken", [FAR[1:], np.full_like(FAR, np.nan), np.where(FAR > 0, np.inf, FAR)])
def test_an_attempt_that_is_no_answer_is_a_failure(broken: np.ndarray, tmp_path: Path) -> None:
    (file := tmp_path / "m").write_bytes(b"")
    found = judge(file, "some way", broken, FAR, SPEC)
    assert not found.passed
    assert found.failure == f"found logits of shape {broken.shape} that are not all finite"
    assert (found.file, found.how, found.images) == ("m", "some way", 0)


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


def test_a_file_that_is_no_model_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"card\.md is no model file"):
        answer(tmp_path, FileEntry("card.md", Role.CARD, "0" * 64, 1), FAR)


@dataclass
class Opened:
    """A model file that was opened: its logits are twice the first value of each image."""

    data: bytes
    runtime: Runtime
    fails: bool = False
    closed: int = 0

    def run(self, tensors: np.ndarray) -> np.ndarray:
        if self.fails:
            raise ZeroDivisionError
        return 2 * tensors.reshape(len(tensors), -1)[:, :1]

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("form, runtime", [(Format.ONNX, Runtime.ONNXRUNTIME), (Format.TFLITE, Runtime.LITERT)])
@pytest.mark.parametrize("fails", [False, True])
def test_a_file_is_run_on_the_runtime_of_its_format_and_closed(
    form: Format, runtime: Runtime, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "the-file").write_bytes(b"its bytes")
    opened: list[Opened] = []

    def open_model(data: bytes, chosen: Runtime) -> Opened:
        opened.append(Opened(data, chosen, fails))
        return opened[-1]

    monkeypatch.setattr("export.validation.parity.open_model", open_model)
    entry = FileEntry("the-file", Role.MODEL, "0" * 64, 9, form, Precision.INT8)
    tensors = np.arange(12, dtype=np.float32).reshape(3, 2, 2, 1)
    if fails:
        with pytest.raises(ZeroDivisionError):
            answer(tmp_path, entry, tensors)
    else:
        found = answer(tmp_path, entry, tensors)
        assert (found.entry, found.runtime, found.logits.ravel().tolist()) == (entry, runtime, [0, 8, 16])
    assert [(file.data, file.runtime, file.closed) for file in opened] == [(b"its bytes", runtime, 1)]
