"""Identify the processor, as far as it affects the bits of a result. Read from the kernel, without a subprocess."""

from __future__ import annotations

import os
from functools import cache

_CPUINFO = "/proc/cpuinfo"
_CV_AVX_512_VNNI = 23  # cv::CPU_AVX_512VNNI, which the Python module does not name
_MOST_BYTES = 1 << 16  # the file repeats its lines for every core; a server has hundreds
_KEYS = frozenset(
    (
        *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),  # x86
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),  # Arm
        *("Processor", "Hardware", "isa"),  # older Arm; RISC-V
    )
)


def identity_in(cpuinfo: str) -> str:
    """Return the lines of ``/proc/cpuinfo`` that identify the type of processor, each once, in order.

    Speeds, core numbers and serial numbers are left out, as they differ over time, between cores and between devices.
    """
    lines = (line for line in cpuinfo.splitlines() if line.split(":", 1)[0].strip() in _KEYS)
    return "\n".join(dict.fromkeys(lines))


@cache
def processor_identity() -> str:
    """Return a text that identifies the type of this processor; only its architecture without ``/proc/cpuinfo``."""
    return "\n".join((_architecture(), identity_in(_cpuinfo())))


@cache
def saturates_int8() -> bool:
    """Return whether this x86-64 processor adds products of uint8 and int8 in 16 bits, which may saturate.

    Processors with VNNI (``avx512_vnni``, ``avx_vnni``) and Arm processors add in 32 bits.
    """
    if _architecture() not in ("x86_64", "AMD64"):
        return False
    flags = next((line for line in processor_identity().splitlines() if line.startswith("flags")), "")
    return bool(flags) and "vnni" not in flags


@cache
def has_avx512_vnni() -> bool:
    """Return whether this x86-64 processor has VNNI for AVX-512, with which products of int8 are added in 32 bits.

    OpenCV asks the processor itself. ``/proc/cpuinfo`` of an emulated one tells about the machine that emulates it.
    """
    import cv2  # imported here: the identity needs none

    return bool(cv2.checkHardwareSupport(_CV_AVX_512_VNNI))


def _architecture() -> str:
    """Return the kernel's name of the architecture; the module ``platform`` takes longer to import than this check."""
    return os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "")


def _cpuinfo() -> str:
    try:
        with open(_CPUINFO, "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
