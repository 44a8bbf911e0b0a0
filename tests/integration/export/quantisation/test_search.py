"""Ways of quantising are tried in their order until one passes; what is kept, returned and said is what was judged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle.manifest import Attempt, Format
from edge_runtime.errors import InterpreterBrokenError
from export.converters import onnx_layers, tflite_layers, to_onnx, to_tflite
from export.errors import NOTHING_TO_CORRECT, ConversionError
from export.quantisation import search
from export.quantisation.schemes import LADDER, PEERS, Quantisation

EXPECTED = np.array([[0.0, 1.0], [2.0, 3.0]], dtype=np.float32)
FOUND = EXPECTED + np.array([0.5, -0.25], dtype=np.float32)
FINAL = (to_tflite.write_quantised, to_onnx.write_quantised)
MEASURED_ONCE = (
    to_tflite.write_calibrated,
    tflite_layers.write_percentiles,
    tflite_layers.write_layers,
    to_onnx.write_float32,
    to_onnx.write_prepared,
    onnx_layers.write_layers,
)
Job = Callable[..., None]


class Floor:
    """In place of converters: notes the jobs, writes the way into the file, and cannot do what it is told."""

    def __init__(self, folder: Path, form: Format) -> None:
        self.form, self.out = form, folder / f"model.int8.{form.value}"
        self.shop = search.SearchWorkspace(folder / "scratch", "model.keras", "ranges.npy", EXPECTED)
        self.shop.folder.mkdir()
        self.jobs: list[Job] = []
        self.judged: list[tuple[Quantisation, str]] = []
        self.impossible: set[str] = set()
        self.why: str | None = None

    def convert(self, job: Job, *args: Any) -> None:
        self.jobs.append(job)
        text = next((arg.text() for arg in args if isinstance(arg, Quantisation)), job.__name__)
        if text in self.impossible:
            raise ConversionError(self.why or f"no kernel for {text}\nline 1 of the log")
        Path(args[-1]).write_text(text, encoding="utf-8")

    def climb(self, passing: int) -> tuple[Attempt, ...]:
        """Quantise with a judge that passes at the given attempt, counted from 1."""

        def judge(path: Path, how: Quantisation) -> Attempt:
            self.judged.append((how, path.read_text(encoding="utf-8")))
            return Attempt(path.name, how.text(), images=9, flips=5, passed=len(self.judged) == passing)

        return search.quantise(self.form, self.shop, lambda path: FOUND, judge, self.out)


@pytest.fixture(params=list(Format), ids=lambda form: form.value)
def floor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Floor:
    made = Floor(tmp_path, request.param)
    monkeypatch.setattr(search, "in_own_process", made.convert)
    return made


@pytest.mark.parametrize("passing", range(1, len(LADDER) + 1))
def test_ways_are_tried_in_order_and_the_file_that_passed_is_kept(
    floor: Floor, passing: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="export.quantisation.search"):
        attempts = floor.climb(passing)
    assert [how for how, _ in floor.judged] == list(LADDER[:passing])
    assert [attempt.how for attempt in attempts] == [how.text() for how in LADDER[:passing]]
    assert [attempt.passed for attempt in attempts] == [False] * (passing - 1) + [True]
    assert floor.out.read_text(encoding="utf-8") == floor.judged[-1][1]
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{attempt.text()}; trying the next scheme" for attempt in attempts[:-1]]


def test_each_way_writes_its_own_file_and_what_ways_share_is_measured_once(floor: Floor) -> None:
    floor.climb(len(LADDER))
    written = [text for _, text in floor.judged]
    assert len(set(written)) == len(LADDER)
    uncorrected = {replace(how, bias_corrected=False) for how in LADDER if how.bias_corrected} - {LADDER[0]}
    assert sum(job in FINAL for job in floor.jobs) == len(LADDER) + len(uncorrected)
    assert [floor.jobs.count(job) for job in MEASURED_ONCE if job in floor.jobs] == [1] * 3


def test_a_first_way_that_passes_measures_nothing_for_the_others(floor: Floor) -> None:
    floor.climb(1)
    assert len(floor.jobs) == (2 if floor.form is Format.TFLITE else 3)
    assert not floor.shop.error(LADDER[0]).exists()


def test_the_error_to_correct_is_each_ways_own_mean_over_the_calibration_images(floor: Floor) -> None:
    floor.climb(4)
    for how in LADDER[1:4]:
        np.testing.assert_allclose(np.load(floor.shop.error(how)), [0.5, -0.25])
    assert len({floor.shop.error(how) for how in LADDER[1:4]}) == 3


def test_where_no_way_passes_no_file_is_left_and_every_attempt_is_returned(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    every = [*LADDER, *PEERS[floor.form]]
    attempts = floor.climb(len(every) + 1)
    assert [attempt.how for attempt in attempts] == [how.text() for how in every]
    assert not any(attempt.passed for attempt in attempts)
    assert not floor.out.exists()
    assert f"{floor.out.name} is not in the bundle: no quantisation scheme keeps parity" in caplog.text


def test_a_way_that_is_no_gain_is_not_taken_and_the_next_is_tried(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    def judge(path: Path, how: Quantisation) -> Attempt:
        floor.judged.append((how, path.read_text(encoding="utf-8")))
        found = Attempt(path.name, how.text(), images=9)
        no_gain = len(floor.judged) == 3
        return replace(found, passed=len(floor.judged) == 5, worthless="no smaller than float32" if no_gain else None)

    attempts = search.quantise(floor.form, floor.shop, lambda path: FOUND, judge, floor.out)
    assert [attempt.worthless for attempt in attempts] == [None, None, "no smaller than float32", None, None]
    assert floor.out.read_text(encoding="utf-8") == floor.judged[-1][1] == LADDER[4].text()
    assert "within the tolerance, but no smaller than float32" in caplog.text


def test_a_way_that_the_converter_cannot_do_is_an_attempt_and_the_next_is_tried(floor: Floor) -> None:
    floor.impossible = {LADDER[1].text(), LADDER[2].text()}
    attempts = floor.climb(2)
    assert [attempt.failure for attempt in attempts] == [
        "",
        f"no kernel for {LADDER[1].text()}",
        f"no kernel for {LADDER[2].text()}",
        "",
    ]
    assert [how for how, _ in floor.judged] == [LADDER[0], LADDER[3]]
    assert floor.out.read_text(encoding="utf-8") == LADDER[3].text()
    assert attempts[1].text().endswith(f"not possible, no kernel for {LADDER[1].text()}")


def test_a_file_that_the_interpreter_refuses_is_an_attempt_and_the_next_is_tried(floor: Floor) -> None:
    def judge(path: Path, how: Quantisation) -> Attempt:
        if how == LADDER[0]:
            raise InterpreterBrokenError("onnxruntime refuses this model\nline 1 of the log")
        return Attempt(path.name, how.text(), images=9, passed=True)

    attempts = search.quantise(floor.form, floor.shop, lambda path: FOUND, judge, floor.out)
    assert [(attempt.failure, attempt.passed) for attempt in attempts] == [
        ("onnxruntime refuses this model", False),
        ("", True),
    ]
    assert floor.out.read_text(encoding="utf-8") == LADDER[1].text()


def test_a_converter_that_crashes_is_told_without_the_name_of_a_function(floor: Floor) -> None:
    def judge(path: Path, how: Quantisation) -> Attempt:
        if how == LADDER[0]:
            raise ConversionError("export.converters.to_tflite.write_calibrated failed: its process died of SIGSEGV")
        return Attempt(path.name, how.text(), images=9, passed=True)

    attempts = search.quantise(floor.form, floor.shop, lambda path: FOUND, judge, floor.out)
    assert attempts[0].failure == "the converter failed: its process died of SIGSEGV"


def test_where_no_way_is_possible_int8_is_left_out_and_every_attempt_says_why(floor: Floor) -> None:
    """A layer without int8 kernels: the float32 files are exported all the same."""
    every = (*LADDER, *PEERS[floor.form])
    floor.impossible = {replace(how, bias_corrected=False).text() for how in every}
    attempts = floor.climb(1)
    assert [attempt.failure.startswith("no kernel for") for attempt in attempts] == [True] * len(every)
    assert not floor.out.exists()


def test_a_network_without_a_last_bias_climbs_the_same_ladder_uncorrected(floor: Floor) -> None:
    floor.impossible = {LADDER[1].text()}
    floor.why = NOTHING_TO_CORRECT
    attempts = floor.climb(3)
    uncorrected = [LADDER[0], *(replace(how, bias_corrected=False) for how in LADDER[2:4])]
    assert [how for how, _ in floor.judged] == uncorrected
    assert [attempt.failure for attempt in attempts if attempt.failure] == [NOTHING_TO_CORRECT]


def _flips(floor: Floor, flips: dict[str, int]) -> tuple[Attempt, ...]:
    """Search with peers; each scheme flips as many decisions as named, others 9; up to 5 are within the tolerance."""

    def judge(path: Path, how: Quantisation) -> Attempt:
        found = flips.get(how.text(), 9)
        return Attempt(path.name, how.text(), images=99, flips=found, passed=found <= 5)

    plan = search.SearchPlan(peers=True)
    return search.quantise(floor.form, floor.shop, lambda path: FOUND, judge, floor.out, plan)


def test_a_peer_that_flips_fewer_decisions_replaces_the_own_scheme(floor: Floor) -> None:
    own, peer = LADDER[0].text(), PEERS[floor.form][1].text()
    attempts = _flips(floor, {own: 3, peer: 1})
    assert floor.out.read_text(encoding="utf-8") == peer
    assert [(a.how, a.passed) for a in attempts if a.flips <= 5] == [(own, False), (peer, True)]
    assert attempts[1].worthless == f"no fewer decisions flip than with {peer}"
    assert {a.file for a in attempts} == {floor.out.name}
    assert attempts[-1].passed
    assert [path.name for path in floor.out.parent.iterdir() if path.is_file()] == [floor.out.name]


def test_a_peer_that_is_equal_leaves_the_own_scheme(floor: Floor) -> None:
    own = LADDER[0].text()
    attempts = _flips(floor, {own: 3} | {peer.text(): 3 for peer in PEERS[floor.form]})
    assert floor.out.read_text(encoding="utf-8") == own
    assert attempts[-1] == Attempt(floor.out.name, own, images=99, flips=3, passed=True)
    assert [a.worthless for a in attempts[:-1]] == [f"no fewer decisions flip than with {own}"] * len(PEERS[floor.form])


def test_without_the_request_peers_are_tried_only_where_no_own_scheme_passes(floor: Floor) -> None:
    assert [attempt.how for attempt in floor.climb(1)] == [LADDER[0].text()]
    again = floor.climb(1 + len(LADDER))  # one was judged before
    assert [attempt.how for attempt in again] == [how.text() for how in LADDER]


def test_a_search_of_few_schemes_tries_no_peers(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    plan = search.SearchPlan(ladder=LADDER[:2], report=False)

    def judge(path: Path, how: Quantisation) -> Attempt:
        return Attempt(path.name, how.text(), images=9, flips=5)

    found = search.quantise(floor.form, floor.shop, lambda path: FOUND, judge, floor.out, plan)
    assert [attempt.how for attempt in found] == [how.text() for how in LADDER[:2]]
    assert caplog.text == ""
