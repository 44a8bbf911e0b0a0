"""How long the cold command takes, beside a minimal script with the same imports, in one run.

    python tests/benchmarks/cold_start.py IMAGE [--model NAME|PATH] [--runs 21]

A is ``edge-predict IMAGE`` as a new process. B is a new process that imports click, numpy, cv2 and the LiteRT
interpreter, decodes IMAGE, resizes, sharpens, scales, and invokes the same int8 file once: what nobody can do
without. A and B take turns; the figures are medians, of wall time and of processor time, which other programs disturb
less, and the largest peak memory. Python files are compiled before the first pair, as pip leaves them. Choose an IMAGE
that int8 decides: a rerun opens the float32 file. Ratios carry over to other machines better than milliseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from system_4 import BUNDLE

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format, Precision

MINIMAL = """
import sys
import click
import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

image = cv2.resize(cv2.imread(sys.argv[1]), (50, 50), interpolation=cv2.INTER_LINEAR_EXACT)
sharp = cv2.filter2D(image, -1, np.float32([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]]))
model = Interpreter(model_path=sys.argv[2], num_threads=1)
model.allocate_tensors()
into, out = model.get_input_details()[0], model.get_output_details()[0]
scale, zero = into["quantization"]
tensor = np.clip(np.rint(sharp.astype(np.float32) / 255 / scale) + zero, -128, 127).astype(np.int8)
model.set_tensor(into["index"], tensor[None])
model.invoke()
print(model.get_tensor(out["index"]))
"""


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds of wall and processor time, peak memory in MB."""

    wall: float
    processor: float
    memory: float


def run(command: list[str]) -> Cost:
    """Return what one process took."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[:3]} ended with status {process.returncode}; run it by hand to see why.")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)  # Linux counts in KiB


def main() -> None:
    """Print both medians, their ratios and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--model", default=str(BUNDLE))
    parser.add_argument("--runs", type=int, default=21)
    chosen = parser.parse_args()
    bundle = find(chosen.model)
    entry = bundle.model(Format.TFLITE, Precision.INT8)
    if entry is None:
        raise SystemExit(f"{bundle.where}: holds no int8 TFLite file to compare with.")
    command = [str(Path(sys.executable).with_name("edge-predict")), chosen.image, "--model", chosen.model]
    minimal = [sys.executable, "-c", MINIMAL, chosen.image, str(Path(bundle.where) / entry.name)]
    pairs = [(run(command), run(minimal)) for _ in range(chosen.runs + 1)][1:]  # the first pair warms the disk
    for name, costs in (("edge-predict", [a for a, _ in pairs]), ("minimal script", [b for _, b in pairs])):
        wall, processor = (statistics.median(getattr(cost, key) for cost in costs) for key in ("wall", "processor"))
        peak = max(cost.memory for cost in costs)
        print(f"{name:15} wall {wall * 1e3:5.0f} ms   processor {processor * 1e3:5.0f} ms   peak {peak:5.1f} MB")
    wall, processor = (
        statistics.median(getattr(a, key) / getattr(b, key) for a, b in pairs) for key in ("wall", "processor")
    )
    print(f"{'ratio':15} wall {wall:8.2f}   processor {processor:8.2f}   (medians of {len(pairs)} pairs, in turns)")


if __name__ == "__main__":
    main()
