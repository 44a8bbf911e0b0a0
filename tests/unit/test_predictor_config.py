"""A predictor and its errors across processes: pickled, loaded again, equal."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime import Failure, Predictor, PredictorConfig, Runtime, errors
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.site_policy_in_force import NO_SITE_POLICY
from edge_runtime.errors import EdgeError, ImageError, ImageUnreadableError, IntegrityError, MachineError
from tests.places import ROOT

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EdgeError)]


def test_a_pickled_predictor_loads_the_same_model_and_answers_the_same(
    phantom_bundle: Path, phantom_patches: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(phantom_bundle.parent)
    with Predictor.load(phantom_bundle.name, precision=Precision.FLOAT32, threads=2) as predictor:
        assert predictor.config == PredictorConfig(
            str(phantom_bundle),
            Runtime.LITERT,
            Precision.FLOAT32,
            threads=2,
            bundle=predictor.digest,
            site_policy=NO_SITE_POLICY,
        )
        monkeypatch.chdir("/")  # the path in it is absolute
        with pickle.loads(pickle.dumps(predictor)) as again:
            assert again.config == predictor.config
            expected = predictor.predict(phantom_patches[0])
            assert replace(again.predict(phantom_patches[0]), ms=expected.ms) == expected
        assert pickle.loads(pickle.dumps(predictor.config)) == predictor.config


def test_the_name_of_a_model_stays_a_name() -> None:
    with Predictor.load("idc-patch-compact") as predictor:
        assert predictor.config is not None
        assert predictor.config.model == "idc-patch-compact"


def test_another_bundle_at_the_place_is_refused(bundle_copy: Path) -> None:
    with Predictor.load(bundle_copy) as predictor:
        data = pickle.dumps(predictor)
    (bundle_copy / "bundle.json").write_text((bundle_copy / "bundle.json").read_text() + " ")
    with pytest.raises(IntegrityError, match="Install the same version") as found:
        pickle.loads(data)
    assert found.value.code == "bundle_changed"


def test_a_predictor_of_an_open_bundle_is_not_pickled(phantom_bundle: Path) -> None:
    with (
        Predictor(find(phantom_bundle), Runtime.LITERT, Precision.INT8, 1) as predictor,
        pytest.raises(TypeError, match=r"Predictor\.load"),
    ):
        pickle.dumps(predictor)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_are_equal_after_pickling(kind: type[EdgeError]) -> None:
    error = kind("x.png: found y", code="some_code")
    again = pickle.loads(pickle.dumps(error))
    assert again == error
    assert hash(again) == hash(error)
    assert Failure("x.png", again, time="t") == Failure("x.png", error, time="u")
    assert error != kind("x.png: found z", code="some_code")
    assert error != kind("x.png: found y", code="other_code")
    assert error != MachineError("x.png: found y", code="some_code") or kind is MachineError


def test_the_hash_of_rejected_bytes_counts() -> None:
    one, other = ImageUnreadableError("x"), ImageUnreadableError("x")
    one.sha256 = "00"
    assert pickle.loads(pickle.dumps(one)) == one != other
    assert one != ImageError("x")


def test_a_predictor_crosses_a_process_boundary(phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    with Predictor.load(phantom_bundle) as predictor:
        data, expected = pickle.dumps(predictor), predictor.predict(phantom_patches[0]).verdict
    script = (
        "import pickle, sys\n"
        "predictor = pickle.loads(sys.stdin.buffer.read())\n"
        "sys.stdout.buffer.write(pickle.dumps(predictor.predict(sys.argv[1]).verdict))"
    )
    command = [sys.executable, "-c", script, str(phantom_patches[0])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=data, capture_output=True, env=environment, check=True)
    assert pickle.loads(done.stdout) == expected
