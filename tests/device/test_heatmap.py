"""On the device, without TensorFlow: heatmaps of every model that ships are TensorFlow's, on every interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime import Predictor, Runtime
from edge_runtime.bundle.bundle import find, shipped
from edge_runtime.bundle.saliency import Method
from edge_runtime.explain.overlay import heatmap_png
from edge_runtime.golden.inputs import golden_region
from edge_runtime.images.reader import read
from edge_runtime.inference.backends.registry import FORMAT, installed
from edge_runtime.selftest.certificate import Step
from edge_runtime.selftest.replay import load_golden, selftest

RUNTIMES = [runtime for runtime in FORMAT if installed(runtime)]


def usable(runtime: Runtime) -> bool:
    """tflite-runtime cannot run under numpy 2; that refusal has a test of its own."""
    return runtime is not Runtime.TFLITE or np.__version__.startswith("1.")


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_models_maps_are_tensorflows(name: str) -> None:
    checks = [check for check in selftest(find(name)).checks if check.step is Step.MAP]
    able = {runtime.value for runtime in RUNTIMES if usable(runtime)}
    assert {check.runtime for check in checks} == able
    for check in checks:
        assert check.passed, (check.runtime, check.difference)


@pytest.mark.parametrize("runtime", [runtime for runtime in RUNTIMES if usable(runtime)], ids=lambda r: r.value)
@pytest.mark.parametrize("name", shipped())
def test_a_map_is_drawn_over_its_image(name: str, runtime: Runtime) -> None:
    bundle = find(name)
    assert bundle.manifest.saliency is not None
    assert bundle.manifest.saliency.method in (Method.GRAD_CAM, Method.ATTENTION)
    png = load_golden(bundle).images[0]
    with Predictor.load(name, backend=runtime) as predictor:
        region = golden_region(read(png), predictor.spec)
        found = predictor.explain(png, region=region)
    drawn = read(heatmap_png(found))
    assert max(drawn.pixels.shape[:2]) >= 400
