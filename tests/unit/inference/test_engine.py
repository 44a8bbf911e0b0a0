"""Which file decides: the one that answers first, or float32 near a threshold; one rule for one image and for many.

The two files are stand-ins that read a row of a table from the image's first value, so that every logit is known.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.rule import DecisionRule
from edge_runtime.decision.verdict import Decision, Reason
from edge_runtime.errors import BackendError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.engine import Answer, Engine, Plan
from edge_runtime.preprocessing.preprocessor import Preprocessor
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize

STEPS = (Colour(ColourOrder.GREY), Resize(1, 1, Interpolation.NEAREST, PixelType.UINT8))
SPEC = ModelSpec(
    "some-model", "1.0.0", "for tests", STEPS, ("a", "b"), ("b",), Head.SIGMOID, DecisionPolicy(0.5, 0.0), min_side_px=1
)
BAND = 0.2
"""A sigmoid's logit of 0.8473 has a score of 0.7: on the band's edge, but for rounding."""
FIRST = [-3.0, -0.5, 0.0, 0.4, 3.0, 0.1]
EXACT = [-7.0, 0.7, -0.9, 8.0, 9.0, -0.3]
NEAR = [False, True, True, True, False, True]


@dataclass
class File:
    """A model file whose logit for an image is the row that the image's first value names.

    Its input is as an int8 file's: each uint8 level is another number there, 1000 more.
    """

    table: list[float]
    added: int = 1000
    runtime: Runtime = Runtime.LITERT
    seen: list[list[int]] = field(default_factory=list)
    closed: int = 0

    def quantise(self, values: np.ndarray) -> np.ndarray:
        assert values.tolist() == list(range(256))
        return values + np.float32(self.added)

    def run(self, tensors: np.ndarray) -> np.ndarray:
        rows = tensors.reshape(len(tensors), -1)[:, 0].astype(int) - self.added
        assert tensors.dtype == np.float32
        rows = rows.tolist()
        self.seen.append(rows)
        return np.array([[self.table[row]] for row in rows], np.float32)

    def run_with_moments(self, tensors: np.ndarray) -> tuple[np.ndarray, None]:
        return self.run(tensors), None

    def outputs(self, tensor: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.run(tensor), np.array([[[5.0]]], np.float32)

    def close(self) -> None:
        self.closed += 1


@dataclass
class Bench:
    """An engine, its two files, and how often each was opened."""

    first: File
    exact: File
    engine: Engine
    opened: list[Precision]


def bench(
    band: float = BAND, first: list[float] = FIRST, exact: list[float] = EXACT, answers: Precision = Precision.INT8
) -> Bench:
    files = {Precision.INT8: File(first), Precision.FLOAT32: File(exact)}
    opened: list[Precision] = []

    def open_file(precision: Precision) -> Any:
        opened.append(precision)
        return files[precision]

    engine = Engine(Plan(SPEC, Preprocessor(STEPS), DecisionRule(SPEC), answers, band, open_file))
    return Bench(files[Precision.INT8], files[Precision.FLOAT32], engine, opened)


def test_steps_that_end_in_float32_give_the_file_their_values_as_they_are() -> None:
    """A float32 resize sees more than one value at a time: there is no table of levels then."""
    steps = (Colour(ColourOrder.GREY), Resize(1, 1, Interpolation.LINEAR, PixelType.FLOAT32))
    preprocessor, file = Preprocessor(steps), File(FIRST, added=0)
    assert preprocessor.values is None
    engine = Engine(Plan(SPEC, preprocessor, DecisionRule(SPEC), Precision.INT8, 0.0, lambda _: file))
    found = engine.logits(np.array([4, 1], np.float32).reshape(-1, 1, 1, 1))
    assert found.ravel().tolist() == [FIRST[4], FIRST[1]]


def images(*rows: int) -> np.ndarray:
    return np.array(rows, np.uint8).reshape(-1, 1, 1, 1)


NOT_FINITE = r"^found NaN or infinity in the logits, expected finite numbers\. Export the model again\.$"
ALL = images(*range(len(FIRST)))
NO_CHECK: list[float | None] = [None] * len(FIRST)
FAMILIAR, UNFAMILIAR = 0.5, 1.5


def answers_of(engine: Engine, prepared: np.ndarray, shares: Sequence[float | None]) -> list[Answer]:
    return [engine.answer(image, share) for image, share in zip(prepared, shares, strict=True)]


def logits_of(answers: list[Answer]) -> list[float]:
    return [float(answer.logits[0]) for answer in answers]


def reruns_of(answers: list[Answer]) -> list[bool]:
    return [answer.exact for answer in answers]


def test_float32_decides_the_images_near_a_threshold_and_sees_no_other() -> None:
    made = bench()
    answers = answers_of(made.engine, ALL, NO_CHECK)
    expected = [exact if near else first for first, exact, near in zip(FIRST, EXACT, NEAR, strict=True)]
    assert logits_of(answers) == np.float32(expected).tolist()
    assert reruns_of(answers) == NEAR
    assert made.exact.seen == [[1], [2], [3], [5]]


def test_an_unfamiliar_image_is_not_run_again_among_many() -> None:
    """It is referred whatever float32 says: no rerun is counted, and no time is spent on it."""
    made = bench()
    shares = [FAMILIAR if familiar else UNFAMILIAR for familiar in (True, False, True, False, False, True)]
    answers = answers_of(made.engine, ALL, shares)
    assert reruns_of(answers) == [False, False, True, False, False, True]
    assert logits_of(answers) == np.float32([-3.0, -0.5, -0.9, 0.4, 3.0, -0.3]).tolist()
    assert [answer.share for answer in answers] == shares
    assert made.exact.seen == [[2], [5]]


def test_where_no_familiar_image_is_near_float32_is_not_even_opened() -> None:
    made = bench()
    answers = answers_of(made.engine, ALL, [UNFAMILIAR if near else FAMILIAR for near in NEAR])
    assert not any(reruns_of(answers))
    assert logits_of(answers) == np.float32(FIRST).tolist()
    assert made.opened == [Precision.INT8]


def test_an_unfamiliar_image_alone_is_referred_by_the_first_file() -> None:
    made = bench()
    _, verdict, _, exact = made.engine.answer(images(1)[0], UNFAMILIAR)
    assert (verdict.decision, verdict.reason) == (Decision.REFER, Reason.UNFAMILIAR_INPUT)
    assert not exact
    assert verdict.scores["b"] == pytest.approx(1 / (1 + np.exp(0.5)), abs=1e-7)
    assert made.opened == [Precision.INT8]


@pytest.mark.parametrize("row", range(len(FIRST)))
@pytest.mark.parametrize("familiar", [True, False])
def test_one_image_and_many_are_decided_by_the_same_file(row: int, familiar: bool) -> None:
    share = FAMILIAR if familiar else UNFAMILIAR
    alone = bench().engine.answer(images(row)[0], share)
    among = answers_of(bench().engine, ALL, [share] * len(FIRST))[row]
    assert alone == among
    assert alone.exact == (NEAR[row] and familiar)
    assert alone.verdict.score == DecisionRule(SPEC).verdict(alone.logits).score
    if familiar:
        assert (alone.verdict.reason is Reason.PRECISION_RERUN) == NEAR[row]


def test_an_image_on_the_edge_of_the_band_is_run_again() -> None:
    """At logit 0 the score is the cut-off, so the distance is exactly 0; one bit further it lies outside."""
    distance = float(1 / (1 + np.exp(-np.float64(np.float32(0.4))))) - 0.5
    for band, rerun in ((distance, True), (float(np.nextafter(distance, 0)), False)):
        assert bench(band).engine.answer(images(3)[0]).exact is rerun
        assert reruns_of(answers_of(bench(band).engine, images(3), [None])) == [rerun]


def test_without_a_band_not_even_a_score_on_the_cutoff_is_run_again() -> None:
    made = bench(band=0.0)
    alone = made.engine.answer(images(2)[0])
    answers = answers_of(made.engine, ALL, NO_CHECK)
    assert (alone.verdict.reason, alone.exact) == (Reason.ABOVE_CUTOFF, False)
    assert reruns_of(answers) == [False] * len(FIRST)
    assert logits_of(answers) == np.float32(FIRST).tolist()
    assert made.opened == [Precision.INT8]


def test_float32_that_answers_first_is_opened_once_and_closed_once() -> None:
    made = bench(answers=Precision.FLOAT32)
    answers_of(made.engine, ALL, NO_CHECK)
    assert made.engine.logits(ALL, exact=True).ravel().tolist() == np.float32(EXACT).tolist()
    made.engine.close()
    assert (made.opened, made.exact.closed, made.first.closed) == ([Precision.FLOAT32], 1, 0)


def test_each_file_can_be_run_alone() -> None:
    made = bench()
    assert made.engine.logits(ALL).ravel().tolist() == np.float32(FIRST).tolist()
    assert made.opened == [Precision.INT8]
    assert made.engine.logits(ALL, exact=True).ravel().tolist() == np.float32(EXACT).tolist()
    logits, feature = made.engine.explain(images(4)[0])
    assert (logits.tolist(), feature.tolist()) == ([[9.0]], [[[5.0]]])
    assert made.engine.backend is made.first


def test_closing_closes_what_was_opened() -> None:
    made = bench()
    made.engine.close()
    assert (made.first.closed, made.exact.closed) == (1, 0)
    made = bench()
    made.engine.answer(images(2)[0])
    made.engine.close()
    assert (made.first.closed, made.exact.closed) == (1, 1)


def test_threads_that_need_float32_at_once_open_it_once() -> None:
    made, together = bench(), threading.Barrier(8)
    plan_open = made.engine._plan.open

    def slow(precision: Precision) -> Any:
        threading.Event().wait(0.05)
        return plan_open(precision)

    object.__setattr__(made.engine._plan, "open", slow)

    def answer(_: int) -> object:
        together.wait()
        return made.engine.answer(images(2)[0]).exact

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(answer, range(8))) == {True}
    assert made.opened == [Precision.INT8, Precision.FLOAT32]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_no_number_is_an_error(value: float) -> None:
    """Neither the first file nor float32, neither for one image nor for one among many, nor for a heatmap."""
    bad, good = [0.0, 0.0, value], [0.0, 0.0, 0.0]
    for first, exact in ((bad, good), (good, bad)):
        for ask in (
            lambda engine: engine.answer(images(2)[0]),
            lambda engine: answers_of(engine, images(0, 2, 1), [None] * 3),
        ):
            with pytest.raises(BackendError, match=NOT_FINITE):
                ask(bench(first=first, exact=exact).engine)
    with pytest.raises(BackendError, match=NOT_FINITE):
        bench(exact=bad).engine.explain(images(2)[0])
