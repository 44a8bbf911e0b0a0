"""Every exported file against the Keras model: each limit, worked out here by hand for one sigmoid."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.manifest import FileEntry, Format, Precision, Role
from edge_runtime.inference.backends.base import Runtime
from export.errors import ParityError
from export.validation.parity import allowed_flips, answer, check, judge
from tests.parity.one_sigmoid import SPEC, TOLERANCE, answers, column, logit, sigmoid

REFUSAL = (
    r"model\.onnx on onnxruntime: found a relative \|Δ logit\| of 0\.0101\d*, expected 0\.01 at most\. "
    r"Nothing was written\. That is more than rounding: a layer is converted wrongly\. .*"
)


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
    with pytest.raises(ParityError, match=r"model\.onnx on onnxruntime: logits of shape \(11, 1\), the source .*12, 1"):
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
            assert re.fullmatch(REFUSAL, str(caught.value))


def test_a_difference_as_small_as_rounding_is_told_with_the_tolerance_to_raise() -> None:
    strict = replace(SPEC, tolerance=replace(TOLERANCE, float32_logit_max=1e-4))
    with pytest.raises(ParityError, match=r"rounding in another order.*If 0\.0002 .*tolerance\.float32_logit_max"):
        check(answers(Precision.FLOAT32, column(0.5002)), column(0.5), strict)


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
            with pytest.raises(ParityError, match=r"mean \|Δ score\| of 0\.0202\d+, expected 0\.02 at most"):
                check(answers(precision, found), base, SPEC)


@pytest.mark.parametrize(
    ("precision", "remedy"), [(Precision.INT8, "Add calibration images"), (Precision.FLOAT16, "Leave out --float16")]
)
def test_a_rounded_file_may_flip_one_decision_and_not_two(precision: Precision, remedy: str) -> None:
    lenient = replace(SPEC, tolerance=replace(TOLERANCE, int8_score_mean=1.0))
    check(answers(precision, flipped(1)), FAR, lenient)
    with pytest.raises(ParityError, match=rf"number of flipped decisions of 2, expected 1 at most\. .* {remedy}"):
        check(answers(precision, flipped(2)), FAR, lenient)


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

    def run_with_moments(self, tensors: np.ndarray) -> tuple[np.ndarray, None]:
        if self.fails:
            raise ZeroDivisionError
        return 2 * tensors.reshape(len(tensors), -1)[:, :1], None

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
