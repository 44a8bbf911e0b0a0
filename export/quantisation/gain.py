"""Check that an int8 file improves on the float32 file in size and time; otherwise it is not shipped."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Format
from edge_runtime.bundle.quantisation import percent
from edge_runtime.inference.backends.base import Backend
from edge_runtime.inference.backends.registry import open_model
from export.converters.quantised_share import quantised_share
from export.validation.parity import RUNTIMES

LEAST_COMPUTED = 0.1
"""Smallest share of multiply-accumulates in int8; with a smaller share, a file is in effect a float32 file."""

MOST_TIME = 1.5
"""Largest processor time of an int8 file, as a multiple of float32's. It is well above 1, because devices differ: the
shipped int8 files take 0.8 to 1.1 times float32's time on x86-64 without VNNI, and 0.33 to 0.67 times on other
processors. A file above the limit is not faster elsewhere: for example, 16-bit activations on LiteRT take 50 times as
long."""

QUICK_S = 0.001
"""Processor time of one image, in seconds, up to which a file is never slow. In networks of less than a million
multiply-accumulates, rounding inputs and outputs takes longer than the network, but only microseconds."""

_ROUNDS, _TURN_S = 7, 0.02
_STEPS = (MOST_TIME, 2, 3, 5, 10, 20, 50, 100)


def no_share(int8: Path, float32: Path, form: Format) -> str | None:
    """Return why ``int8`` does not improve on ``float32`` in size and int8 share; None if it does.

    Raises:
        ConversionError: as :func:`export.converters.quantised_share.quantised_share`.
    """
    sizes = int8.stat().st_size, float32.stat().st_size
    if sizes[0] >= sizes[1]:
        return f"with {sizes[0]:,} bytes no smaller than float32, which has {sizes[1]:,}"
    computed = quantised_share(int8, form).computed
    if computed < LEAST_COMPUTED:
        return (
            f"only {percent(computed)} of its multiply-accumulates are in 8 bits, expected {LEAST_COMPUTED:.0%} or more"
        )
    return None


def too_slow(int8: Path, float32: Path, form: Format, tensor: npt.NDArray[np.float32]) -> str | None:
    """Return a reason if ``int8`` is slower than ``float32`` on this machine; None otherwise.

    The factor is given in coarse steps, so that a second export gives the same text.

    Args:
        tensor: one preprocessed image, float32 1×H×W×C.
    """
    mine, theirs = times(int8, float32, form, tensor)
    if mine <= max(QUICK_S, MOST_TIME * theirs):
        return None
    over = max((step for step in _STEPS if mine > step * theirs), default=MOST_TIME)
    return f"it takes more than {over:g} times float32's processor time here, expected at most {MOST_TIME:g}"


def times(one: Path, other: Path, form: Format, tensor: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return two files' processor times of one image, in seconds: medians over rounds in which they alternate."""
    backends = [open_model(path.read_bytes(), RUNTIMES[form]) for path in (one, other)]
    try:
        calls = [max(1, round(_TURN_S / max(1e-6, _processor_time(backend, tensor, 2) / 2))) for backend in backends]
        rounds = [
            [_processor_time(backend, tensor, count) / count for backend, count in zip(backends, calls, strict=True)]
            for _ in range(_ROUNDS)
        ]
        mine, theirs = (statistics.median(row) for row in zip(*rounds, strict=True))
        return mine, theirs
    finally:
        for backend in backends:
            backend.close()


def _processor_time(backend: Backend, tensor: npt.NDArray[np.float32], calls: int) -> float:
    """Return the processor time of ``calls`` runs, in seconds."""
    start = time.process_time()
    for _ in range(calls):
        backend.run(tensor)
    return time.process_time() - start
