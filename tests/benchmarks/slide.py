"""What a slide of 3,600 tiles takes, beside the bare invokes that it cannot do without, in turns, in one run.

    python tests/benchmarks/slide.py [--slide FILE] [--rounds 5] [--workers 2]

A is ``Predictor.predict_tiles``, A0 the same without the guard band, B the model's bare ``invoke`` as often as there
are tiles, in one thread: its half is the ideal of two cores. C is B in two threads, half each: what two cores give at
this moment. The drawn slide is 3000×3000 px. Ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import cv2
import numpy as np
from many_images import without_band
from minimal_loop import Minimal, patches, seconds, side_by_side
from system_4 import BUNDLE

from edge_runtime import ColourOrder, Predictor


def drawn_slide(side_tiles: int = 60) -> np.ndarray:
    """Lay 60×60 patches side by side, every other row of them empty glass."""
    tiles = patches(side_tiles * side_tiles // 2)
    glass = np.full((50, 50, 3), 243, np.uint8)
    rows = [
        np.concatenate([glass if row % 2 else tiles[row // 2 * side_tiles + i] for i in range(side_tiles)], axis=1)
        for row in range(side_tiles)
    ]
    return np.concatenate(rows)


def invoke(minimal: Minimal, times: int) -> None:
    """Run the network on whatever its input holds."""
    for _ in range(times):
        minimal.invoke()


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    pixels = drawn_slide() if chosen.slide is None else cv2.imread(str(chosen.slide))
    minimals = [Minimal() for _ in range(chosen.workers)]
    rows = []
    with Predictor.load(BUNDLE) as ours, without_band() as plain:
        found = ours.predict_tiles(
            pixels, order=ColourOrder.BGR, workers=chosen.workers
        )  # opens the files, and warms up
        plain.predict_tiles(pixels[:500, :500], order=ColourOrder.BGR, workers=chosen.workers)
        count = found.grid.rows * found.grid.columns
        for _ in range(chosen.rounds):
            rows.append(
                (
                    seconds(lambda: ours.predict_tiles(pixels, order=ColourOrder.BGR, workers=chosen.workers)),
                    seconds(lambda: plain.predict_tiles(pixels, order=ColourOrder.BGR, workers=chosen.workers)),
                    seconds(lambda: invoke(minimals[0], count)),
                    seconds(lambda: side_by_side([lambda m=m: invoke(m, count // chosen.workers) for m in minimals])),
                )
            )
    print(f"{count} tiles, {found.reruns} of them decided by the float32 file")
    for i, name in enumerate(("A  predict_tiles", "A0 without guard band", "B  bare invokes", "C  B on both cores")):
        ideal = statistics.median(row[i] / (row[2] / chosen.workers) for row in rows)
        reached = statistics.median(row[i] / row[3] for row in rows)
        wall = statistics.median(row[i] for row in rows)
        print(f"{name:22} {wall:6.2f} s   {ideal:5.2f} x B/{chosen.workers}   {reached:5.2f} x C")


if __name__ == "__main__":
    main()
