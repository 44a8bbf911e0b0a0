"""What one answer costs beside the hand-written loop, image by image, in turns, in one run.

    python tests/benchmarks/one_image.py [--model breast-us] [--folder IMAGES] [--count 100] [--repeats 9]

A is ``Predictor.predict``, B is ``Minimal`` (minimal_loop.py). For each image both run in turns, ``repeats`` times,
and the fastest of each counts, so that what else the machine does falls away; the ratio is the median over images.
Images that the float32 file decided are counted apart: B has no such second look. The network is system 4's unless
--model names one that ships, where A also asks whether the image is familiar. Drawn images are not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from minimal_loop import Minimal, MinimalPatch, MinimalUltrasound, image_files, seconds
from system_4 import BUNDLE

from edge_runtime import DEFAULT_MODEL, ColourOrder, Prediction, Predictor, Reason

LOOPS: dict[str, tuple[Callable[[], Minimal], str | Path, int]] = {
    "system-4": (Minimal, BUNDLE, 50),
    DEFAULT_MODEL: (MinimalPatch, DEFAULT_MODEL, 50),
    "breast-us": (MinimalUltrasound, "breast-us", 500),
}
"""Name of a model → its hand-written loop, its bundle, and the side of a drawn image."""


def compare(
    name: str, ours: Callable[[Any], Prediction], minimal: Callable[[Any], int], images: Sequence[Any], repeats: int
) -> None:
    """Print the medians and the ratio over the images that int8 decided, and what a rerun costs."""
    rows: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for image in images:
        rerun = ours(image).verdict.reason is Reason.PRECISION_RERUN
        minimal(image)
        calls = partial(ours, image), partial(minimal, image)
        pairs = [(seconds(calls[0]), seconds(calls[1])) for _ in range(repeats)]
        rows[rerun].append((min(a for a, _ in pairs), min(b for _, b in pairs)))
    for rerun, label in ((False, "int8 decides"), (True, "float32 reruns")):
        if rows[rerun]:
            a, b = (statistics.median(row[i] for row in rows[rerun]) * 1e3 for i in (0, 1))
            ratio = statistics.median(x / y for x, y in rows[rerun])
            print(f"{name:14} {label:15} {len(rows[rerun]):4} images  {a:7.3f} ms / {b:7.3f} ms   ratio {ratio:.3f}")


def main() -> None:
    """Compare arrays, then files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(LOOPS), default="system-4")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=9)
    chosen = parser.parse_args()
    loop, model, side_px = LOOPS[chosen.model]
    minimal = loop()
    with tempfile.TemporaryDirectory() as scratch, Predictor.load(model) as predictor:
        files = image_files(chosen.folder, chosen.count, Path(scratch), side_px)
        arrays = [cv2.imread(path) for path in files]
        compare(
            "predict(array)",
            lambda array: predictor.predict(array, order=ColourOrder.BGR),
            minimal.array,
            arrays,
            chosen.repeats,
        )
        compare("predict(path)", predictor.predict, minimal.path, files, chosen.repeats)


if __name__ == "__main__":
    main()
