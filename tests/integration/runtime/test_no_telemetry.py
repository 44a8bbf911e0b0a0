"""Nothing leaves the device: no interpreter calls home, and none leaves an identifier behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import installed
from tests.places import ROOT

ANSWER = """
from edge_runtime import Predictor, Runtime
with Predictor.load("idc-patch-compact", backend=Runtime({backend!r})) as predictor:
    predictor.predict({image!r})
"""


@pytest.mark.parametrize("backend", [runtime.value for runtime in (Runtime.LITERT, Runtime.ONNXRUNTIME)])
@pytest.mark.parametrize("chosen", [None, "0"], ids=["by default", "also where someone allowed it"])
def test_an_answer_leaves_no_identifier_of_the_device(backend: str, chosen: str | None, tmp_path: Path) -> None:
    """onnxruntime keeps a device identifier and a data base of events in the user's cache where it sends telemetry.

    It never does on machines that say that they test (CI), so that these variables are taken away.
    """
    if not installed(Runtime(backend)):
        pytest.skip(f"{backend} is not installed")
    variables = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    if chosen is not None:
        environment["ORT_DISABLE_TELEMETRY"] = chosen
    image = str(ROOT / "docs" / "phantom.png")
    script = ANSWER.format(backend=backend, image=image)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    left = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {("cache", "edge-predict")}


def test_exports_forbid_it_before_onnxruntime_is_imported() -> None:
    script = "import os, sys, export; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["1", "False"], done.stderr
