"""Describe the machine of a self-test. The description does not identify the owner and is not sent anywhere."""

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
    """Processor, operating system and numerical packages of a machine.

    Attributes:
        architecture: the kernel's name, such as ``x86_64``, ``aarch64`` or ``armv7l``.
        processor: name of the processor, or of the board on Arm; ``unknown`` if the system does not report it. An
            x86-64 processor without VNNI is marked, as onnxruntime uses other int8 kernels on it.
        system: distribution and kernel.
        python: version of Python.
        versions: package → version, for installed packages.
    """

    architecture: str
    processor: str
    system: str
    python: str
    versions: dict[str, str]


def this_machine() -> Machine:
    """Return the description of the machine that runs this process."""
    return Machine(
        architecture=platform.machine() or "unknown",
        processor=_processor(),
        system=_system(),
        python=platform.python_version(),
        versions=_versions(),
    )


def processor_named(cpuinfo: str) -> str | None:
    """Return the processor's name in the text of ``/proc/cpuinfo``; None if there is none."""
    pairs = [line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line]
    found = {key.strip(): value.strip() for key, value in reversed(pairs)}  # reversed: the first core's values remain
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
    """Return versions from the packages' metadata, which does not import an interpreter."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
