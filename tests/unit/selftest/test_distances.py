"""The self-test and the start of a predictor compare out-of-distribution distances with those of the export."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.bundle import Bundle, find
from edge_runtime.bundle.manifest import Precision
from edge_runtime.errors import BundleError, KnownAnswersError
from edge_runtime.golden.vectors import Golden, from_npz, to_npz
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.predictor import Predictor
from edge_runtime.selftest import replay
from edge_runtime.selftest.certificate import Step
from tests.phantom_bundle import CHECKED

MODELS = {entry.name for entry in find(CHECKED).manifest.files if entry.format is not None}


def golden() -> Golden:
    return from_npz((CHECKED / "golden.npz").read_bytes(), "golden.npz")


def test_every_file_has_its_distances_and_they_are_the_same_here() -> None:
    assert set(golden().distances) == MODELS
    checks = [check for check in replay.selftest(find(CHECKED)).checks if check.step is Step.DISTANCE]
    assert {check.subject for check in checks} == MODELS
    for check in checks:
        assert check.passed and check.values == 10, check
        assert check.tolerance >= 1e-3 and check.difference is not None and check.difference <= check.tolerance


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """All stored distances, times the number in this list."""
    factor = [1.5]
    plain = replay.inputs.load_golden

    def load(*arguments: object) -> Golden:
        found = plain(*arguments)  # type: ignore[arg-type]
        return dataclasses.replace(found, distances={k: v * factor[0] for k, v in found.distances.items()})

    monkeypatch.setattr("edge_runtime.golden.inputs.load_golden", load)
    return factor


def test_other_distances_fail_the_self_test_and_stop_the_predictor(
    moved: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed = replay.selftest(find(CHECKED)).failed()
    assert {check.step for check in failed} == {Step.DISTANCE} and {check.subject for check in failed} == MODELS
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(KnownAnswersError):
        Predictor(find(CHECKED), Runtime.LITERT, Precision.INT8, 1)
    moved[0] = 1.0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    Predictor(find(CHECKED), Runtime.LITERT, Precision.INT8, 1).close()


def test_golden_vectors_without_distances_belong_to_another_model() -> None:
    bundle = find(CHECKED)
    content = to_npz(dataclasses.replace(golden(), distances={}))

    class Without(Bundle):
        def content(self, entry: object) -> bytes:
            return content

    entry = bundle.manifest.of_role(bundle.manifest.files[-2].role)[0]
    other = Without(bundle.where, bundle.manifest, bundle.read_file, bundle.names, bundle.digest)
    with pytest.raises(BundleError, match="found distances of"):
        replay.inputs.load_golden(other, entry)


@pytest.mark.parametrize("bad", [np.zeros(10), np.full(10, np.nan), np.ones(9), np.ones(10, np.float32)], ids=str)
def test_distances_that_are_none_are_refused(bad: np.ndarray) -> None:
    content = to_npz(dataclasses.replace(golden(), distances={"model.int8.tflite": bad}))
    with pytest.raises(BundleError, match=r"distances/model\.int8\.tflite"):
        from_npz(content, "golden.npz")
