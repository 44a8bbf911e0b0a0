"""Which model answers when none is named, and that nobody can overlook it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import DEFAULT_MODEL, Predictor
from edge_runtime.bundle.bundle import SHIPPED, find
from edge_runtime.bundle.registry.default_model import MODEL_VARIABLE, model_in_force
from tests.places import ROOT

PHANTOM = ROOT / "docs" / "phantom.png"


@pytest.fixture
def named(phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that the environment names."""
    monkeypatch.setenv(MODEL_VARIABLE, str(phantom_bundle))
    return phantom_bundle


def told() -> str:
    spec = find(Path(SHIPPED, DEFAULT_MODEL)).manifest.spec
    default = f"no --model given: using {DEFAULT_MODEL} ({spec.summary}). edge-bundle list shows the others.\n"
    return default + SCALE


SCALE = f"scale unknown: {DEFAULT_MODEL} is for 4 microns per pixel. --microns-per-pixel states it.\n"


def test_without_a_model_stderr_says_which_one_answers_and_for_what(edge_predict: Any) -> None:
    result = edge_predict(PHANTOM)
    assert (result.exit_code, result.stderr) == (0, told())
    assert f"model     {DEFAULT_MODEL} " in result.stdout


def test_json_and_csv_on_stdout_hold_the_answer_alone(edge_predict: Any) -> None:
    as_json, as_csv = edge_predict("--json", PHANTOM), edge_predict("--csv", PHANTOM)
    assert [json.loads(line)["model"] for line in as_json.stdout.splitlines()] == [DEFAULT_MODEL]
    assert [row["model"] for row in csv.DictReader(io.StringIO(as_csv.stdout))] == [DEFAULT_MODEL]
    assert as_json.stderr == as_csv.stderr == told()


def test_a_results_file_holds_the_answer_alone(edge_predict: Any, tmp_path: Path) -> None:
    result = edge_predict("--output", tmp_path / "results.jsonl", PHANTOM)
    assert result.stderr.startswith(told())
    assert json.loads((tmp_path / "results.jsonl").read_text(encoding="ascii"))["model"] == DEFAULT_MODEL


def test_a_model_that_is_named_is_not_told(edge_predict: Any) -> None:
    result = edge_predict("--model", DEFAULT_MODEL, PHANTOM)
    assert (result.exit_code, result.stderr) == (0, SCALE)


def test_the_environment_names_another_default_by_path(edge_predict: Any, named: Path) -> None:
    result = edge_predict("--json", PHANTOM)
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["model"] == "phantom-patch"
    with Predictor.load() as predictor:
        assert predictor.spec.name == "phantom-patch"


def test_the_environment_names_another_default_by_name(
    edge_predict: Any, edge_bundle: Any, named: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path))
    assert edge_bundle("install", named).exit_code == 0
    monkeypatch.setenv(MODEL_VARIABLE, "phantom-patch")
    assert json.loads(edge_predict("--json", PHANTOM).stdout)["model"] == "phantom-patch"
    with Predictor.load() as predictor:
        assert predictor.spec.name == "phantom-patch"


@pytest.mark.usefixtures("named")
def test_a_model_that_is_given_goes_before_the_environment(edge_predict: Any) -> None:
    assert json.loads(edge_predict("--json", "--model", DEFAULT_MODEL, PHANTOM).stdout)["model"] == DEFAULT_MODEL
    with Predictor.load(DEFAULT_MODEL) as predictor:
        assert predictor.spec.name == DEFAULT_MODEL


def test_an_empty_variable_names_nothing(edge_predict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, "")
    assert model_in_force() == DEFAULT_MODEL
    assert edge_predict(PHANTOM).stderr == told()


def test_a_model_of_the_environment_that_is_not_there_is_an_error(
    edge_predict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, "no-such-model")
    result = edge_predict(PHANTOM)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error [bundle_not_found]: Found no model 'no-such-model'")


def test_the_self_test_takes_the_same_default(edge_bundle: Any, named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert edge_bundle("selftest").stdout.startswith("bundle    phantom-patch ")
    monkeypatch.delenv(MODEL_VARIABLE)
    assert edge_bundle("selftest").stdout.startswith(f"bundle    {DEFAULT_MODEL} ")


def test_help_names_the_default_and_the_variable(edge_predict: Any) -> None:
    text = re.sub(r"\s+", "", edge_predict("--help").stdout)  # click wraps lines, also at hyphens
    assert f"[envvar:{MODEL_VARIABLE};default:({DEFAULT_MODEL})]" in text
