"""What an int8 file gains over the float32 file beside it; one that gains nothing does not ship under that name."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.backends import Backend, open_model
from edge_runtime.bundle.manifest import Format
from export.formats.share import quantised_share
from export.parity import RUNTIMES

LEAST_COMPUTED = 0.1
"""Share of multiply-accumulates in eight bits under which a file is a float32 file by another name."""

MOST_TIME = 1.5
"""Processor time over float32's from which a file is slower. Well above 1, because devices differ: on x86-64 without
VNNI the shipped int8 files take 0.8 to 1.1 times float32's time and on other processors a third to two thirds. What is
slower by half does not win elsewhere: activations of 16 bits on LiteRT, for example, take fifty times as long."""

QUICK_S = 0.001
"""Processor time of one image up to which a file is not slow, whatever float32 takes: in networks of less than a
million multiply-accumulates the rounding of what goes in and out outweighs them, by microseconds."""

_ROUNDS, _TURN_S = 7, 0.02


def no_gain(int8: Path, float32: Path, form: Format, tensor: npt.NDArray[np.float32]) -> str | None:
    """Say why ``int8`` is no gain over ``float32``; None if it is smaller, quantised and not slower.

    Args:
        tensor: one prepared image, float32 1×H×W×C.
    """
    sizes = int8.stat().st_size, float32.stat().st_size
    if sizes[0] >= sizes[1]:
        return f"with {sizes[0]:,} bytes no smaller than float32, which has {sizes[1]:,}"
    computed = quantised_share(int8, form).computed
    if computed < LEAST_COMPUTED:
        return f"only {computed:.1%} of its multiply-accumulates are in 8 bits, expected {LEAST_COMPUTED:.0%} or more"
    mine, theirs = times(int8, float32, form, tensor)
    if mine > max(QUICK_S, MOST_TIME * theirs):
        return f"it takes {mine / theirs:.1f} times float32's processor time here, expected at most {MOST_TIME}"
    return None


def times(one: Path, other: Path, form: Format, tensor: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the processor time of one image, in seconds, of two files: medians of rounds in which they take turns."""
    backends = [open_model(path.read_bytes(), RUNTIMES[form]) for path in (one, other)]
    try:
        calls = [max(1, round(_TURN_S / max(1e-6, _taken(backend, tensor, 2) / 2))) for backend in backends]
        rounds = [
            [_taken(backend, tensor, count) / count for backend, count in zip(backends, calls, strict=True)]
            for _ in range(_ROUNDS)
        ]
        mine, theirs = (statistics.median(row) for row in zip(*rounds, strict=True))
        return mine, theirs
    finally:
        for backend in backends:
            backend.close()


def _taken(backend: Backend, tensor: npt.NDArray[np.float32], calls: int) -> float:
    """Return the processor time of so many runs, in seconds."""
    start = time.process_time()
    for _ in range(calls):
        backend.run(tensor)
    return time.process_time() - start
