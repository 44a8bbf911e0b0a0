"""Peak memory of one subject, in a process of its own.

``ru_maxrss`` is not used. Linux carries it over ``exec``: a process started from one that holds 400 MB begins at
400 MB. ``VmHWM`` of ``/proc/self/status`` is the same counter, and belongs to the new process alone.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from export.benchmark.subject import BenchmarkEngine, BenchmarkSubject, Floats, open_subject
from export.converters.isolation import in_own_process
from export.errors import ExportError

IMAGES = 20
"""Images run before the peak is read."""

STATUS = Path("/proc/self/status")

MODULES = {
    BenchmarkEngine.KERAS_PREDICT: ("tensorflow", "keras"),
    BenchmarkEngine.KERAS_FUNCTION: ("tensorflow", "keras"),
    BenchmarkEngine.LITERT: ("edge_runtime.inference.backends.litert", "ai_edge_litert.interpreter"),
    BenchmarkEngine.ONNXRUNTIME: ("edge_runtime.inference.backends.onnxruntime", "onnxruntime"),
}
"""What a process imports that opens no model; its peak is taken off."""


def peak_mb(engine: BenchmarkEngine, subject: BenchmarkSubject | None, tensors: Floats, scratch: Path) -> float:
    """Return the peak resident memory (MB of 10^6 bytes) of a process that imports, opens and runs.

    Args:
        engine: what is imported.
        subject: what is opened and run on :data:`IMAGES` images; None to import alone.
        tensors: prepared images, float32 N×H×W×C, held by the process in either case.
        scratch: a folder for what both processes share.

    Raises:
        ConversionError: the process died, or this system does not tell its peak.
    """
    given, found = scratch / "tensors.npy", scratch / "peak.txt"
    np.save(given, tensors[:IMAGES])
    in_own_process(write_peak, engine, subject, str(given), str(found), fresh=True)
    return int(found.read_text(encoding="ascii")) * 1024 / 1e6


def write_peak(engine: BenchmarkEngine, subject: BenchmarkSubject | None, tensors_path: str, out: str) -> None:
    """Import, open, run, and write the peak in KiB; to be called in a fresh process."""
    tensors = np.load(tensors_path)
    for name in MODULES[engine]:
        importlib.import_module(name)
    if subject is not None:
        run = open_subject(subject)
        for i in range(IMAGES):
            run(tensors[i % len(tensors)][np.newaxis])
    Path(out).write_text(str(read_peak_kib(STATUS)), encoding="ascii")


def read_peak_kib(status: Path) -> int:
    """Return ``VmHWM`` of a ``/proc/PID/status`` file.

    Raises:
        ExportError: it has none, as on systems other than Linux.
    """
    lines = status.read_text(encoding="ascii", errors="replace").splitlines() if status.is_file() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise ExportError(f"{status}: found no VmHWM, expected the peak memory of a process. Run the benchmark on Linux.")
