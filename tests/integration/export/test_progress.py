"""A terminal shows the stage, the scheme and the time left; a pipe shows nothing."""

from __future__ import annotations

import io

import pytest

import export.progress
from export.progress import ExportProgress, Stage, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(export.progress.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_names_stage_scheme_and_time_left(clock: list[float]) -> None:
    shown = Terminal()
    with ExportProgress(stream=shown) as progress:
        progress.begin(Stage.READ)
        assert progress.text() == "reading images"
        clock[0] += 4
        progress.begin(Stage.TFLITE_INT8, "int8, ranges to the extremes")
        assert progress.text().startswith("TFLite int8: int8, ranges to the extremes; about ")
    assert "TFLite int8: int8, ranges to the extremes; about " in shown.getvalue()


def test_the_time_left_follows_the_pace_and_shrinks(clock: list[float]) -> None:
    progress = ExportProgress(stream=io.StringIO())
    for stage in Stage:
        if stage is Stage.TFLITE_FLOAT16:
            continue
        progress.begin(stage)
        before = progress.seconds_left()
        clock[0] += 2 * stage.share  # twice as long as a unit of share
        after = progress.seconds_left()
        if stage is not Stage.READ:
            assert before is not None
            assert after is not None
            assert before - after == pytest.approx(2 * stage.share)
    assert progress.seconds_left() == pytest.approx(0)


def test_a_further_scheme_adds_its_time(clock: list[float]) -> None:
    progress = ExportProgress(stream=io.StringIO())
    progress.begin(Stage.READ)
    clock[0] += 4
    progress.begin(Stage.ONNX_INT8, "first")
    clock[0] += 8
    rest = sum(stage.share for stage in Stage) - Stage.READ.share - Stage.TFLITE_FLOAT16.share
    progress.begin(Stage.ONNX_INT8, "second")
    assert progress.seconds_left() == pytest.approx(rest)


def test_a_pipe_shows_nothing() -> None:
    shown = io.StringIO()
    with ExportProgress(stream=shown) as progress:
        progress.begin(Stage.READ)
        progress.begin(Stage.KERAS)
    assert shown.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "less than 10 s"), (43, "about 40 s"), (94, "about 90 s"), (100, "about 2 min")]
)
def test_durations_are_rounded(seconds: float, text: str) -> None:
    assert duration(seconds) == text
