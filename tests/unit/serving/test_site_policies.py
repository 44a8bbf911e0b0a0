"""Site policies in the service: the answers of ``edge-predict``, the policy of each model, and its take-over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.registry.install import install
from edge_runtime.bundle.registry.site_policies import install_site_policy, remove_site_policy
from edge_runtime.bundle.site_policy_in_force import NO_SITE_POLICY
from edge_runtime.errors import SitePolicyError, UsageError
from edge_runtime.serving.answers import Question, answer
from edge_runtime.serving.loaded_model import ModelOptions
from edge_runtime.serving.models import Models, ServedModel
from tests.fixtures.commands import Called
from tests.phantom_bundle import CHECKED, COMMITTED
from tests.site_policies import site_policy

CHANGING = {"time", "ms", "check"}


class Told:
    """Collects the events of the log."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))


def _answers(served: ServedModel, images: list[Path]) -> list[dict[str, Any]]:
    with served.use() as loaded:
        replies = [answer(loaded.predictor, Question(path.read_bytes(), name=str(path))) for path in images]
    return [{k: v for k, v in json.loads(reply.line).items() if k not in CHANGING} for reply in replies]


def test_the_service_answers_as_the_command(tmp_path: Path, edge_predict: Called, phantom_patches: list[Path]) -> None:
    policy, images = site_policy(COMMITTED, tmp_path / "policy"), phantom_patches[:30]
    served = Models((str(COMMITTED),), ModelOptions(site_policies=(str(policy.path),)))
    served.refresh(Told())
    found = _answers(served.get(None), images)
    served.close()
    lines = edge_predict("--json", "--model", COMMITTED, "--site-policy", policy.path, *images).stdout.splitlines()
    assert found == [{k: v for k, v in json.loads(line).items() if k not in CHANGING} for line in lines]
    assert {line["site_policy"]["sha256"] for line in found} == {policy.sha256}


def test_an_installed_policy_is_taken_over_and_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phantom_patches: list[Path]
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    install(COMMITTED)
    told, model = Told(), ServedModel("phantom-patch", ModelOptions())
    model.refresh(told)
    assert _answers(model, phantom_patches[:1])[0]["site"] == "uncalibrated"
    first = model.loaded
    policy = site_policy("phantom-patch", tmp_path / "policy")
    install_site_policy(policy.path, first.bundle)
    model.refresh(told)
    assert told.events[-1][0] == "model_replaced"
    assert told.events[-1][1]["site_policy"] == f"ward 1 {policy.sha256}"
    assert _answers(model, phantom_patches[:1])[0]["site"] == "calibrated"
    remove_site_policy("phantom-patch")
    model.refresh(told)
    assert told.events[-1][0] == "model_replaced" and "site_policy" not in told.events[-1][1]
    assert _answers(model, phantom_patches[:1])[0]["site"] == "uncalibrated"
    model.loaded.retire()


def test_a_policy_that_fits_no_longer_keeps_the_model_that_answers(tmp_path: Path) -> None:
    place, told = shutil.copytree(COMMITTED, tmp_path / "model"), Told()
    policy = site_policy(place, tmp_path / "policy")
    model = ServedModel(str(place), ModelOptions(site_policies=(str(policy.path),)))
    model.refresh(told)
    before = model.loaded
    text = policy.path.read_text()
    policy.path.write_text(text.replace('"name": "ward"', '"name": "other"'))
    model.refresh(told)
    assert told.events[-1][0] == "model_replaced" and str(model.loaded.predictor.site_policy) == "other 1"
    policy.path.write_text(text.replace(policy.policy.bundle, "0" * 64))
    model.refresh(told)
    assert told.events[-1] == (
        "model_kept",
        {"model": "phantom-patch", "version": "1.0.0", "code": "site_policy_other_bundle"},
    )
    assert model.loaded is not before and str(model.loaded.predictor.site_policy) == "other 1"
    model.loaded.retire()


def test_each_policy_is_for_the_model_that_it_names(tmp_path: Path) -> None:
    mine = site_policy(COMMITTED, tmp_path / "mine")
    with pytest.raises(UsageError, match="site policy for phantom-patch, which is not served"):
        Models(("mias-region",), ModelOptions(site_policies=(str(mine.path),)))
    with pytest.raises(SitePolicyError) as caught:
        Models((str(CHECKED),), ModelOptions(site_policies=(str(mine.path),)))
    assert caught.value.code.startswith("site_policy_other_")
    both = Models((str(COMMITTED), "mias-region"), ModelOptions(site_policies=(str(mine.path),)))
    assert [str(model.loaded.predictor.site_policy) for model in both] == ["ward 1", "None"]
    both.close()


def test_none_turns_the_installed_policy_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    install(COMMITTED)
    model = ServedModel("phantom-patch", ModelOptions())
    install_site_policy(site_policy(COMMITTED, tmp_path / "policy").path, model.loaded.bundle)
    model.loaded.retire()
    off = ServedModel("phantom-patch", ModelOptions(site_policies=(NO_SITE_POLICY,)))
    assert off.loaded.predictor.site_policy is None
    off.loaded.retire()
