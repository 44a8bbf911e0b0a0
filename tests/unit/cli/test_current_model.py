"""When a model that was changed is opened, and what becomes of one that cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import Predictor
from edge_runtime.bundle.bundle import SHIPPED
from edge_runtime.cli import current_model
from edge_runtime.cli.current_model import CurrentModel
from edge_runtime.errors import MachineError
from tests.unit.bundle import shipped_bundle
from tests.unit.bundle.shipped_bundle import NAME


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_what_cannot_be_opened_is_told_once_and_tried_again_every_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, clock, opened = tmp_path / "model", Clock(), list[str]()
    shutil.copytree(Path(SHIPPED, NAME), folder)
    newer = shipped_bundle.version(tmp_path / "newer", "1.0.1")
    monkeypatch.setattr(current_model, "time", clock)

    def load() -> Predictor:
        opened.append("asked")
        if len(opened) < 4:
            raise MachineError("model: the machine failed.", code="machine_descriptors")
        return Predictor.load(folder)

    with Predictor.load(folder) as first, CurrentModel(first, load, str(folder)) as model:
        assert not model.refresh() and not opened, "nothing was changed"
        shutil.rmtree(folder)
        shutil.copytree(newer, folder)
        for second, asked in ((0, 1), (1, 1), (61, 2), (62, 2), (122, 3), (150, 3)):
            clock.now = float(second)
            assert not model.refresh()
            assert (len(opened), model.predictor) == (asked, first)
        clock.now = 200.0
        assert model.refresh()
        assert (model.predictor.spec.version, len(opened)) == ("1.0.1", 4)
        clock.now = 1000.0
        assert not model.refresh() and len(opened) == 4
    said = capsys.readouterr().err
    assert said.count("the new model cannot be used [machine_descriptors]") == 1
    assert said.count("is replaced by 1.0.1") == 1


def test_another_model_in_its_place_is_none_of_its_versions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    for name, told in (("breast-us", "expected a version of idc-patch-compact"), ("mias-region", "region")):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(Path(SHIPPED, NAME), folder)
        with Predictor.load(folder) as first, CurrentModel(first, lambda: Predictor.load(folder), str(folder)) as model:
            shutil.rmtree(folder)
            shutil.copytree(Path(SHIPPED, name), folder)
            assert not model.refresh() and model.predictor is first
        assert told in capsys.readouterr().err


def test_a_second_signal_leaves_nobody_at_hand(
    edge_predict: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends the command in the middle of an image does not blame it."""
    shipped_bundle.image(tmp_path / "in" / "a.png")
    place = tmp_path / "results.jsonl"

    def interrupted(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "predict_all", interrupted)
    call = ("--model", NAME, "--watch", tmp_path / "in", "--output", place, "--interval", "0.05")
    for _ in range(3):
        result = edge_predict(*call)
        assert result.exit_code == 130
        assert "died" not in result.stderr
    assert not place.with_name("results.jsonl.reading").read_bytes().strip(b"\0")
