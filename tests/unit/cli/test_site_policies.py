"""Site policies on the command line beside single images: slides, and a watch that takes a policy over."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime import Predictor
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.registry.install import install
from edge_runtime.bundle.registry.site_policies import install_site_policy
from edge_runtime.cli.current_model import CurrentModel
from tests.fixtures.commands import Called
from tests.phantom_bundle import COMMITTED
from tests.site_policies import site_policy


def test_a_slide_names_the_policy(tmp_path: Path, edge_predict: Called) -> None:
    slide, policy = tmp_path / "slide.png", site_policy(COMMITTED, tmp_path / "policy", cutoff=0.05)
    cv2.imwrite(str(slide), np.random.default_rng(1).integers(0, 255, (100, 150, 3), np.uint8))
    asked = ("--model", COMMITTED, "--site-policy", policy.path, "--tiles", slide)
    found = json.loads(edge_predict(*asked, "--json").stdout)
    assert (found["site"], found["site_policy"]["sha256"], found["cutoff"]) == ("calibrated", policy.sha256, 0.05)
    assert "site      calibrated: site policy ward 1" in edge_predict(*asked).stdout
    plain = json.loads(edge_predict("--model", COMMITTED, "--tiles", slide, "--json").stdout)
    assert plain["site"] == "uncalibrated" and "site_policy" not in plain


def test_a_watch_takes_an_installed_policy_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    install(COMMITTED)
    with (
        Predictor.load("phantom-patch") as first,
        CurrentModel(first, lambda: Predictor.load("phantom-patch"), "phantom-patch") as model,
    ):
        assert not model.refresh()
        install_site_policy(site_policy(COMMITTED, tmp_path / "policy").path, find("phantom-patch"))
        assert model.refresh() and not model.refresh()
        assert str(model.predictor.site_policy) == "ward 1"
    assert "site policy ward 1" in capsys.readouterr().err
