"""What the processor says of itself agrees with what the kernel says of it."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edge_runtime.platform.processor import has_avx512_vnni

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPUINFO.is_file(), reason="this system has no /proc/cpuinfo")
def test_vnni_is_found_where_the_kernel_names_it() -> None:
    flags = {flag for line in CPUINFO.read_text("utf-8", "replace").splitlines() for flag in line.split()}
    assert has_avx512_vnni() is ("avx512_vnni" in flags and platform.machine() in ("x86_64", "AMD64"))
