"""Self-tests, and the take-over of another bundle while requests use the first one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.registry import install
from edge_runtime.errors import BundleError, EdgeError, MachineError, UsageError
from edge_runtime.golden.vectors import Golden
from edge_runtime.serving import models as serving_models
from edge_runtime.serving.answers import Question, answer
from edge_runtime.serving.loaded_model import LoadedModel, ModelOptions
from edge_runtime.serving.models import Models, ServedModel, State
from edge_runtime.serving.problems import Problem
from tests.phantom_bundle import CHECKED, COMMITTED
from tests.places import ROOT

IMAGE = (ROOT / "docs" / "phantom.png").read_bytes()


class Told:
    """Collects the events of the log."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return shutil.copytree(COMMITTED, tmp_path / "model")


def replaced(place: Path, by: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(by, place)


def digest(model: ServedModel) -> str:
    return model.loaded.predictor.digest


def test_a_model_answers_after_its_self_test(place: Path, told: Told) -> None:
    served = Models((str(place),), ModelOptions())
    with pytest.raises(Problem) as problem, served.get(None).use():
        pass
    assert (problem.value.status, problem.value.code) == (503, "model_not_ready")
    assert not served.ready
    served.refresh(told)
    assert served.ready and told.names == ["model_ready"]
    with served.get("phantom-patch").use() as loaded:
        assert answer(loaded.predictor, Question(IMAGE)).status == 200
    served.close()


def test_a_model_whose_self_test_fails_never_answers(
    place: Path, told: Told, rewrite: Callable[[Path, Callable[[Golden], Golden]], None]
) -> None:
    rewrite(place, lambda golden: replace(golden, keras=-golden.keras))
    served = Models((str(place),), ModelOptions())
    served.refresh(told)
    model = served.get(None)
    assert model.state is State.FAILED and told.names == ["selftest_failed"]
    with pytest.raises(Problem) as problem, model.use():
        pass
    assert (problem.value.status, problem.value.code) == (503, "selftest_failed")
    replaced(place, CHECKED)
    served.refresh(told)
    assert model.state is State.READY, "a sound bundle takes its place"
    served.close()


def test_another_bundle_is_taken_over_and_the_first_closes_after_its_last_request(place: Path, told: Told) -> None:
    model = ServedModel(str(place), ModelOptions())
    model.refresh(told)
    with model.use() as first:
        replaced(place, CHECKED)
        model.refresh(told)
        assert digest(model) != first.predictor.digest and told.names[-1] == "model_replaced"
        assert answer(first.predictor, Question(IMAGE)).status == 200, "it is still open"
        with model.use() as second:
            assert second is model.loaded
    with pytest.raises(EdgeError):
        first.predictor.predict(IMAGE)
    replaced(place, COMMITTED)
    model.refresh(told)
    assert digest(model) == first.predictor.digest
    model.refresh(told)
    assert told.names.count("model_replaced") == 2
    model.loaded.retire()


def test_a_touched_bundle_is_no_other_bundle(place: Path, told: Told) -> None:
    model = ServedModel(str(place), ModelOptions())
    model.refresh(told)
    before = model.loaded
    replaced(place, COMMITTED)
    model.refresh(told)
    assert model.loaded is before and told.names == ["model_ready"]
    before.retire()


def test_what_cannot_be_taken_over_leaves_the_first_in_place_and_is_tried_again(
    place: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(serving_models, "monotonic", lambda: now[0])
    model = ServedModel(str(place), ModelOptions())
    model.refresh(told)
    before, opened = model.loaded, list[int]()
    replaced(place, CHECKED)

    def fails(self: LoadedModel) -> None:
        opened.append(1)
        raise MachineError("no memory", code="machine_memory")

    with monkeypatch.context() as failing:
        failing.setattr(LoadedModel, "test", fails)
        for second in (0.0, 1.0, 59.0, 61.0):
            now[0] = second
            model.refresh(told)
    assert len(opened) == 2 and model.loaded is before and model.state is State.READY
    assert told.events[-1] == ("model_kept", {"model": "phantom-patch", "version": "1.0.0", "code": "machine_memory"})
    now[0] = 200.0
    model.refresh(told)
    assert told.names[-1] == "model_replaced"
    shutil.rmtree(place)
    model.refresh(told)
    assert told.events[-1][1]["code"] == "bundle_not_found"
    shutil.copytree(Path(serving_models.bundles.SHIPPED, "mias-region"), place)
    model.refresh(told)
    assert told.events[-1][1]["code"] == "usage", "another model is no version of this one"
    model.loaded.retire()


def test_models_have_different_names_and_golden_vectors(place: Path, edited_bundle: Any) -> None:
    with pytest.raises(UsageError, match="two models named phantom-patch"):
        Models((str(place), str(CHECKED)), ModelOptions())
    bare = edited_bundle(lambda manifest: manifest["spec"].update(summary="Another."))
    with pytest.raises(BundleError) as missing:
        Models((str(bare),), ModelOptions())
    assert missing.value.code == "golden_missing"


def test_the_first_named_model_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_PREDICT_MODEL", "phantom-patch")
    served = Models(("mias-region", str(COMMITTED)), ModelOptions())
    assert [model.name for model in served] == ["mias-region", "phantom-patch"]
    assert served.default == "mias-region"
    served.close()


def test_all_models_are_the_installed_and_the_shipped_ones(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    monkeypatch.setattr(serving_models.bundles, "shipped", lambda: ("mias-region",))
    monkeypatch.setenv("EDGE_PREDICT_MODEL", "phantom-patch")
    served = Models((), ModelOptions())
    assert [model.name for model in served] == ["mias-region"] and served.default == "mias-region"
    install.install(COMMITTED)
    served.refresh(told)
    served.refresh(told)
    assert {model.name for model in served} == {"mias-region", "phantom-patch"}
    assert served.ready
    assert served.default == "phantom-patch"
    monkeypatch.setattr(serving_models, "_every_name", lambda: ("nothing",))
    served.refresh(told)
    assert told.events[-1] == ("model_unusable", {"code": "bundle_not_found"})
    served.close()


def test_a_bundle_without_a_card_has_an_empty_one(place: Path) -> None:
    loaded = LoadedModel(str(place), ModelOptions())
    assert loaded.card()
    loaded.manifest = replace(loaded.manifest, files=())
    assert loaded.card() == ""
    loaded.retire()
