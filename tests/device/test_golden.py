"""On the device, without TensorFlow: same tensors, logits and decisions as the full TensorFlow model.

Golden answers: tests/golden/<model>.json, written by tests/golden/regenerate.py for the default model, which the wheel
holds, and for system 4, whose bundle lies in the checkout. float32 logits may differ by 1e-4 relative (other
processors add in another order). int8 logits may differ by the rounding that parity at export measured, which the
manifest holds. The other models that ship have their own golden vectors alone: test_selftest.py.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_runtime
from edge_runtime import DEFAULT_MODEL, Precision, Predictor, Runtime
from edge_runtime.bundle.bundle import find
from edge_runtime.images.reader import read
from edge_runtime.inference.backends.registry import installed
from edge_runtime.preprocessing.preprocessor import preprocess

ROOT = Path(__file__).parents[2]
PHANTOMS = ROOT / "calibration_data" / "phantom-patch"
SYSTEM_4 = ROOT / "training" / "models" / "idc-patch" / "bundle"
RUNTIMES = [runtime for runtime in Runtime if runtime is not Runtime.AUTO and installed(runtime)]


def usable(runtime: Runtime) -> bool:
    """tflite-runtime cannot run under numpy 2; that refusal has a test of its own."""
    return runtime is not Runtime.TFLITE or np.__version__.startswith("1.")


@pytest.fixture(params=[r for r in RUNTIMES if usable(r)], ids=lambda r: r.value)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return request.param


@dataclass(frozen=True)
class Golden:
    """A model, and what TensorFlow said of the phantoms; ``entries`` as the golden file has them."""

    model: str
    contract: str
    entries: list[dict[str, Any]]


@pytest.fixture(scope="module", params=[DEFAULT_MODEL, "idc-patch"])
def golden(request: pytest.FixtureRequest) -> Golden:
    name: str = request.param
    if name != DEFAULT_MODEL and not SYSTEM_4.is_dir():
        pytest.skip("system 4's bundle is not beside these tests; it does not ship")
    path = ROOT / "tests" / "golden" / f"{name}.json"
    assert path.is_file(), f"no {path.name}: python -m tests.golden.regenerate training/models/{name} {PHANTOMS}"
    content = json.loads(path.read_text(encoding="utf-8"))
    return Golden(name if name == DEFAULT_MODEL else str(SYSTEM_4), content["contract"], content["entries"])


@pytest.mark.skipif(not os.environ.get("EDGE_PREDICT_DEVICE"), reason="not a device environment")
def test_tensorflow_is_absent() -> None:
    for name in ("tensorflow", "keras", "PIL", "sklearn"):
        assert importlib.util.find_spec(name) is None, f"{name} is installed here"
    assert RUNTIMES, "no interpreter is installed here"
    assert ROOT not in Path(edge_runtime.__file__).resolve().parents or "site-packages" in edge_runtime.__file__


def test_tensors_have_the_same_sha256_as_where_the_model_was_made(golden: Golden) -> None:
    spec = find(golden.model).manifest.spec
    assert spec.contract == golden.contract
    for entry in golden.entries:
        tensor = preprocess(read(PHANTOMS / entry["image"]), spec.steps)
        assert hashlib.sha256(tensor.tobytes()).hexdigest() == entry["tensor_sha256"], entry["image"]


def test_float32_logits_are_tensorflows(golden: Golden, runtime: Runtime) -> None:
    with Predictor.load(golden.model, backend=runtime, precision=Precision.FLOAT32) as predictor:
        worst = max(np.abs(delta).max() for delta in _differences(predictor, golden))
    assert worst <= 1e-4, f"worst relative |Δ logit| {worst}"


def test_int8_logits_stay_within_what_export_measured(golden: Golden, runtime: Runtime) -> None:
    manifest = find(golden.model).manifest
    limit = max(row.logit_max for row in manifest.parity if ".int8." in row.file)
    with Predictor.load(golden.model, backend=runtime) as predictor:
        worst = max(np.abs(delta).max() for delta in _differences(predictor, golden, relative=False))
    assert worst <= limit, f"worst |Δ logit| {worst}, export measured up to {limit}"


def test_decisions_are_tensorflows(golden: Golden, runtime: Runtime) -> None:
    with Predictor.load(golden.model, backend=runtime) as predictor:
        ours = [predictor.predict(PHANTOMS / e["image"]).verdict.decision.value for e in golden.entries]
    assert ours == [e["decision"] for e in golden.entries]


@pytest.mark.skipif(
    not installed(Runtime.TFLITE) or usable(Runtime.TFLITE), reason="needs tflite-runtime under numpy 2"
)
def test_tflite_runtime_under_numpy_2_is_refused_by_name() -> None:
    with pytest.raises(Exception, match="numpy") as caught:
        Predictor.load(backend=Runtime.TFLITE)
    assert type(caught.value).__name__ == "InterpreterBrokenError"


def _differences(predictor: Predictor, golden: Golden, *, relative: bool = True) -> list[np.ndarray]:
    found = []
    for entry in golden.entries:
        tensor = preprocess(read(PHANTOMS / entry["image"]), predictor.spec.steps)
        logits = predictor._backend.run(tensor[np.newaxis])[0]
        reference = np.array(entry["logits"])
        found.append((logits - reference) / (np.maximum(1, np.abs(reference)) if relative else 1))
    return found
