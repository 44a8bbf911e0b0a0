"""What a certificate says about the machine that it was taken on; nothing here names its owner or leaves it."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.platform.processor import saturates_int8

_PACKAGES = ("numpy", "opencv-python-headless", "opencv-python", "ai-edge-litert", "tflite-runtime", "onnxruntime")
_CPUINFO = Path("/proc/cpuinfo")
_PROCESSOR_KEYS = ("model name", "Model", "Hardware", "cpu model")  # x86, Arm boards, older Arm, MIPS


@dataclass(frozen=True)
class Machine:
    """A processor, its system, and the packages that compute.

    Attributes:
        architecture: as the kernel calls it: ``x86_64``, ``aarch64``, ``armv7l``.
        processor: the maker's name of it, or of the board on Arm; ``unknown`` where the system does not say. Of an
            x86-64 without VNNI also that: onnxruntime takes other int8 kernels there.
        system: distribution and kernel.
        versions: package → version, of those that are installed.
    """

    architecture: str
    processor: str
    system: str
    python: str
    versions: dict[str, str]


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    return Machine(
        architecture=platform.machine() or "unknown",
        processor=_processor(),
        system=_system(),
        python=platform.python_version(),
        versions=_versions(),
    )


def processor_named(cpuinfo: str) -> str | None:
    """Return the processor's name in the text of ``/proc/cpuinfo``, None if it holds none."""
    pairs = [line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line]
    found = {key.strip(): value.strip() for key, value in reversed(pairs)}  # reversed: the first core wins
    return next((found[key] for key in _PROCESSOR_KEYS if found.get(key)), None)


def _processor() -> str:
    try:
        named = processor_named(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        named = None
    without = ", without VNNI" if saturates_int8() else ""
    return (named or platform.processor() or "unknown") + without


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


def _versions() -> dict[str, str]:
    """Ask the installed metadata, so that no interpreter is imported for its version."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
