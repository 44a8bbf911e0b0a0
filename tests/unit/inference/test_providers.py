"""onnxruntime's execution providers by name: the wanted one answers and is named, or nothing does.

There is no GPU here: a stand-in for a session of onnxruntime says that it runs on what it was asked for, and computes
on the processor.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

from edge_runtime import Precision, Predictor, Provider, Runtime, UsageError
from edge_runtime.bundle.bundle import find
from edge_runtime.cli.bundle import main as edge_bundle
from edge_runtime.cli.predict import main
from edge_runtime.errors import InterpreterBrokenError, InterpreterMissingError
from edge_runtime.inference.backends.registry import for_provider, ran_by
from edge_runtime.selftest.replay import selftest
from edge_runtime.serialisation.records import to_dict
from tests.places import ROOT
from tests.system_4 import BUNDLE

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
DOCS = ROOT / "docs"
SCHEMA = json.loads((DOCS / "prediction.schema.json").read_text(encoding="utf-8"))
CERTIFICATE = json.loads((DOCS / "certificate.schema.json").read_text(encoding="utf-8"))
PINK = np.random.default_rng(1).normal([190, 120, 210], 9, (50, 50, 3)).clip(0, 255).astype(np.uint8)
REAL = onnxruntime.InferenceSession


class Session:
    """Says that it runs on the first provider it was given, unless that one does not ``start``."""

    asked: list[list[str]]
    start = True

    def __init__(self, model: bytes, options: object, providers: list[str], **more: object) -> None:
        self.asked.append(providers)
        self._providers = providers if self.start else [CPU]
        self._real = REAL(model, options, providers=[CPU], **more)
        self.run, self.get_inputs, self.get_outputs = self._real.run, self._real.get_inputs, self._real.get_outputs

    def get_providers(self) -> list[str]:
        return self._providers


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> type[Session]:
    """An onnxruntime with all three providers."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(Session, "asked", [], raising=False)
    return Session


@pytest.mark.parametrize(
    "provider, asked",
    [(Provider.CUDA, [CUDA, CPU]), (Provider.TENSORRT, [TENSORRT, CUDA, CPU])],
)
def test_a_provider_makes_onnxruntime_answer_and_is_named(
    provider: Provider, asked: list[str], gpu: type[Session]
) -> None:
    with Predictor.load(BUNDLE, provider=provider) as predictor:
        found = predictor.predict(PINK).to_dict()
        slide = predictor.predict_tiles(np.tile(PINK, (2, 2, 1)), workers=1).to_dict()
    assert predictor.runtime is Runtime.ONNXRUNTIME
    assert found["backend"] == slide["backend"] == f"onnxruntime+{provider.value}"
    assert gpu.asked[0] == asked
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(found)))


def test_the_processor_is_the_default_where_there_is_a_gpu(gpu: type[Session]) -> None:
    with Predictor.load(BUNDLE, backend=Runtime.ONNXRUNTIME) as predictor:
        assert predictor.predict(PINK).backend == "onnxruntime"
    assert gpu.asked[0] == [CPU]


def test_an_absent_provider_is_refused_with_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    expected = f"found onnxruntime with the providers {CUDA}, {CPU}, expected {TENSORRT}.*--provider cpu or cuda"
    with pytest.raises(InterpreterMissingError, match=expected):
        Predictor.load(BUNDLE, provider=Provider.TENSORRT)


def test_a_provider_that_does_not_start_is_never_replaced_by_the_processor(
    gpu: type[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "start", False)
    with pytest.raises(InterpreterBrokenError, match=f"found {CPU} in use, expected {CUDA}, which does not start here"):
        Predictor.load(BUNDLE, provider=Provider.CUDA)


@pytest.mark.parametrize("runtime", [Runtime.LITERT, Runtime.TFLITE])
def test_no_other_interpreter_has_providers(runtime: Runtime) -> None:
    with pytest.raises(UsageError, match=f"found provider cuda with {runtime.value}, expected onnxruntime"):
        Predictor.load(BUNDLE, backend=runtime, provider=Provider.CUDA)
    assert for_provider(runtime, Provider.CPU) is runtime and ran_by(runtime, Provider.CPU) == runtime.value


def test_the_command_line_names_a_provider(gpu: type[Session], phantom_patches: list[Path]) -> None:
    asked = ["--model", str(BUNDLE), "--precision", Precision.FLOAT32.value, "--json", str(phantom_patches[0])]
    done = CliRunner().invoke(main, [*asked, "--provider", "cuda"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["backend"] == "onnxruntime+cuda"


def test_the_command_line_refuses_what_this_onnxruntime_lacks(phantom_patches: list[Path]) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    done = CliRunner().invoke(main, ["--model", str(BUNDLE), "--provider", "cuda", str(phantom_patches[0])])
    assert done.exit_code == InterpreterMissingError.exit_code and CPU in done.stderr


def test_a_self_test_on_a_provider_is_of_onnxruntime_alone_and_names_it(gpu: type[Session]) -> None:
    certificate = selftest(find(BUNDLE), Provider.CUDA)
    assert certificate.passed
    assert {check.runtime for check in certificate.checks} == {None, "onnxruntime+cuda"}
    assert {check.step.value for check in certificate.checks} >= {"tensor", "logits", "decision"}
    assert gpu.asked and all(asked == [CUDA, CPU] for asked in gpu.asked)
    jsonschema.Draft202012Validator(CERTIFICATE).validate(json.loads(json.dumps(to_dict(certificate))))


def test_a_self_test_on_a_provider_that_is_not_there_fails_and_says_which_are(tmp_path: Path) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    written = tmp_path / "certificate.json"
    done = CliRunner().invoke(edge_bundle, ["selftest", str(BUNDLE), "--provider", "cuda", "--json", str(written)])
    assert done.exit_code == 1
    assert f"expected {CUDA}" in done.stderr and CPU in done.stderr
    assert json.loads(written.read_text(encoding="utf-8"))["passed"] is False
