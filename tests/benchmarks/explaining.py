"""What a heatmap costs beside the answer alone, in turns, in one run.

    python tests/benchmarks/explaining.py [MODEL…] [--repeats 200]

A is ``Predictor.explain``, B is ``Predictor.predict``, both with the float32 file and on every golden image of the
bundle, one thread, on each interpreter that is installed; C draws the PNG. Medians over images and repeats. The
models are those that ship, unless others are named.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

from minimal_loop import seconds

from edge_runtime import Precision, Predictor, Runtime
from edge_runtime.bundle.bundle import find, shipped
from edge_runtime.explain.overlay import heatmap_png
from edge_runtime.golden.inputs import golden_region
from edge_runtime.images.reader import read
from edge_runtime.inference.backends.registry import installed
from edge_runtime.selftest.replay import load_golden


def compare(model: str, runtime: Runtime, repeats: int) -> None:
    """Print one line: medians in milliseconds, and the ratio of explaining to predicting."""
    images = load_golden(find(model)).images
    rows: list[tuple[float, float, float]] = []
    with Predictor.load(model, backend=runtime, precision=Precision.FLOAT32) as predictor:
        for turn in range(repeats):
            png = images[turn % len(images)]
            image = read(png)
            region = golden_region(image, predictor.spec)
            explanation = predictor.explain(image.pixels, region=region)
            calls: list[Callable[[], object]] = [
                lambda p=image, r=region: predictor.explain(p.pixels, region=r),  # type: ignore[misc]
                lambda p=image, r=region: predictor.predict(p.pixels, region=r),  # type: ignore[misc]
                lambda e=explanation: heatmap_png(e),  # type: ignore[misc]
            ]
            rows.append((seconds(calls[0]), seconds(calls[1]), seconds(calls[2])))
    explain, predict, draw = (statistics.median(row[i] for row in rows) * 1e3 for i in range(3))
    ratio = statistics.median(a / b for a, b, _ in rows)
    print(
        f"{model:20} {runtime.value:12} explain {explain:8.3f} ms  predict {predict:8.3f} ms  "
        f"ratio {ratio:.2f}  drawing {draw:.1f} ms"
    )


def main() -> None:
    """Compare every model on every interpreter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(shipped()))
    parser.add_argument("--repeats", type=int, default=200)
    chosen = parser.parse_args()
    for model in chosen.models:
        for runtime in (Runtime.LITERT, Runtime.TFLITE, Runtime.ONNXRUNTIME):
            if installed(runtime):
                compare(model, runtime, chosen.repeats)


if __name__ == "__main__":
    main()
