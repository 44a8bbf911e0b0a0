"""A model whose self-test differs does not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("starlette")

from edge_runtime.errors import BundleNotFoundError, IntegrityError, UsageError
from edge_runtime.serving import models
from edge_runtime.serving.problems import ProblemError
from tests.phantom_bundle import CHECKED, COMMITTED

NAME = "phantom-patch"


def test_a_model_answers_after_its_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = models.ModelPool([str(COMMITTED)], 1)
    with pytest.raises(ProblemError) as caught:
        pool.find(None)
    assert (caught.value.status, caught.value.code) == (503, "model_not_ready")
    pool.test()
    assert pool.ready and pool.find(NAME) is pool.find(None)

    def differs(*_: object) -> Any:
        return SimpleNamespace(failed=lambda: [SimpleNamespace(subject="model.int8.tflite")])

    monkeypatch.setattr(models, "selftest", differs)
    pool.test()
    assert not pool.ready
    with pytest.raises(ProblemError, match="its self-test differs: model"):
        pool.find(NAME)

    def fails(*_: object) -> Any:
        raise IntegrityError("x")

    monkeypatch.setattr(models, "selftest", fails)
    pool.test()
    with pytest.raises(ProblemError, match=r"cannot run \[integrity\]"):
        pool.find(NAME)
    pool.close()


def test_one_name_twice_and_an_unknown_one_are_refused() -> None:
    with pytest.raises(UsageError, match="found the model phantom-patch twice"):
        models.ModelPool([str(COMMITTED), str(CHECKED)], 1)
    pool = models.ModelPool([str(COMMITTED)], 1)
    with pytest.raises(BundleNotFoundError, match="expected one of: phantom-patch"):
        pool.find("nobody")
    pool.close()
