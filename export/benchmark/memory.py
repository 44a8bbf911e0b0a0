"""Measure the peak memory of one subject in its own process.

``ru_maxrss`` is not used: Linux keeps it across ``exec``, so a child of a process with 400 MB starts at 400 MB.
``VmHWM`` of ``/proc/self/status`` is the same counter, but starts anew in the new process.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from export.benchmark.subject import BenchmarkEngine, BenchmarkSubject, Floats, open_subject
from export.converters.isolation import in_own_process
from export.errors import ExportError

IMAGES = 20
"""Number of images that are run before the peak is read."""

STATUS = Path("/proc/self/status")

MODULES = {
    BenchmarkEngine.KERAS_PREDICT: ("tensorflow", "keras"),
    BenchmarkEngine.KERAS_FUNCTION: ("tensorflow", "keras"),
    BenchmarkEngine.LITERT: ("edge_runtime.inference.backends.litert", "ai_edge_litert.interpreter"),
    BenchmarkEngine.ONNXRUNTIME: ("edge_runtime.inference.backends.onnxruntime", "onnxruntime"),
}
"""Modules of the process that only imports, whose peak is subtracted."""


def peak_mb(engine: BenchmarkEngine, subject: BenchmarkSubject | None, tensors: Floats, scratch: Path) -> float:
    """Return the peak resident memory (MB of 10^6 bytes) of a process that imports, opens and runs a model.

    Args:
        engine: interpreter to import.
        subject: model to open and run on :data:`IMAGES` images; None to import only.
        tensors: preprocessed images, float32 N×H×W×C, which the process loads in either case.
        scratch: a folder for files that both processes use.

    Raises:
        ConversionError: the process died, or this system does not report the peak memory.
    """
    given, found = scratch / "tensors.npy", scratch / "peak.txt"
    np.save(given, tensors[:IMAGES])
    in_own_process(write_peak, engine, subject, str(given), str(found), fresh=True)
    return int(found.read_text(encoding="ascii")) * 1024 / 1e6


def write_peak(engine: BenchmarkEngine, subject: BenchmarkSubject | None, tensors_path: str, out: str) -> None:
    """Import, open, run, and write the peak memory in KiB; call it in a new process."""
    tensors = np.load(tensors_path)
    for name in MODULES[engine]:
        importlib.import_module(name)
    if subject is not None:
        run = open_subject(subject)
        for i in range(IMAGES):
            run(tensors[i % len(tensors)][np.newaxis])
    Path(out).write_text(str(read_peak_kib(STATUS)), encoding="ascii")


def read_peak_kib(status: Path) -> int:
    """Return ``VmHWM`` (KiB) of a ``/proc/PID/status`` file.

    Raises:
        ExportError: the file has no ``VmHWM``, as on systems other than Linux.
    """
    lines = status.read_text(encoding="ascii", errors="replace").splitlines() if status.is_file() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise ExportError(f"{status}: found no VmHWM, expected the peak memory of a process. Run the benchmark on Linux.")
