"""How many images two workers answer, beside the hand-written loop on one thread, block by block, in turns.

    python tests/benchmarks/many_images.py [--folder PATCHES] [--count 1000] [--block 100] [--workers 2]

A is ``Predictor.predict_all(paths, workers=2)``, B ``Minimal`` over the same files in one thread, C two ``Minimal``
in two threads with half of the files each: what this machine can give at this moment. A without the guard band
(``A0``) shows what the float32 reruns cost. Ratios are medians over the blocks.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from functools import partial
from pathlib import Path

from minimal_loop import Minimal, image_files, seconds, side_by_side
from system_4 import BUNDLE

from edge_runtime import Precision, Predictor, Runtime
from edge_runtime.bundle.bundle import find


def without_band(model: Path = BUNDLE) -> Predictor:
    """Load a model whose int8 file decides everything."""
    bundle = find(model)
    manifest = dataclasses.replace(bundle.manifest, guard_band=0.0)
    return Predictor(dataclasses.replace(bundle, manifest=manifest), Runtime.LITERT, Precision.INT8, 1)


def answer(predictor: Predictor, paths: list[str], workers: int) -> None:
    """Answer ``paths``, and keep nothing."""
    for _ in predictor.predict_all(paths, workers=workers):
        pass


def loop(minimal: Minimal, paths: list[str]) -> None:
    """Answer ``paths`` one after the other."""
    for path in paths:
        minimal.path(path)


def main() -> None:
    """Print images a second and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--block", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    minimals = [Minimal() for _ in range(chosen.workers)]
    rows: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory() as scratch, Predictor.load(BUNDLE) as ours, without_band() as plain:
        files = image_files(chosen.folder, chosen.count, Path(scratch))
        for start in range(-chosen.block, len(files), chosen.block):  # the first block warms up
            block = files[max(0, start) : max(0, start) + chosen.block]
            halves = [partial(loop, minimals[i], block[i :: chosen.workers]) for i in range(chosen.workers)]
            row = (
                seconds(partial(answer, ours, block, chosen.workers)),
                seconds(partial(answer, plain, block, chosen.workers)),
                seconds(partial(loop, minimals[0], block)),
                seconds(partial(side_by_side, halves)),
            )
            if start >= 0:
                rows.append(tuple(second / len(block) for second in row))
    names = (f"A  predict_all, {chosen.workers} workers", "A0 the same without the guard band", "B  minimal loop")
    for i, name in enumerate((*names, f"C  {chosen.workers} minimal loops at once")):
        rate = statistics.median(1 / row[i] for row in rows)
        times_b = statistics.median(row[2] / row[i] for row in rows)
        print(f"{name:36} {rate:7.0f} pictures/s   {times_b:5.2f} x B")
    print(f"A0 / C: {statistics.median(row[3] / row[1] for row in rows):.2f} of what the machine gives")


if __name__ == "__main__":
    main()
