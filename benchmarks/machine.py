"""The machine of a benchmark, without its name: what the figures of a table depend on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "ai-edge-litert",
    "onnxruntime",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "numpy",
    "opencv-python-headless",
)
_VNNI = ("avx512_vnni", "avx_vnni", "asimddp")


def lines(load_before: float) -> tuple[str, ...]:
    """Return what the reader of a table has to know about this machine, one line each."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"processor: {processor()}, {os.cpu_count()} cores{_virtual()}; {cores} used (a folder, `edge-serve`: all)",
        f"int8 dot products (VNNI, on Arm dotprod): {'yes' if has_dot_products() else 'no'}",
        f"load of the last minute: {load_before:.1f} before, {os.getloadavg()[0]:.1f} after",
        f"Python {platform.python_version()}, {', '.join(_versions())}",
    )


def processor() -> str:
    """Return the processor's name as Linux gives it, and the architecture."""
    names = [value for key, value in _cpuinfo() if key in ("model name", "Model")]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()


def _virtual() -> str:
    flags = {flag for key, value in _cpuinfo() if key == "flags" for flag in value.split()}
    return " of a virtual machine" if "hypervisor" in flags else ""


def has_dot_products() -> bool:
    """Return whether the processor has instructions for sums of int8 products, which int8 networks gain from."""
    flags = {flag for key, value in _cpuinfo() if key in ("flags", "Features") for flag in value.split()}
    return bool(flags & set(_VNNI))


def _cpuinfo() -> list[tuple[str, str]]:
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]


def _versions() -> list[str]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
