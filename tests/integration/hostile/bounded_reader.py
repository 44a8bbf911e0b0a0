"""Reads images in a process of its own and measures each: ``python bounded_reader.py < paths.json``.

stdin holds a JSON list of paths; one JSON line a path comes back: the code of the refusal, or shape, dtype, least and
greatest value and SHA-256 of the pixels; with the seconds that it took, those of
the processor that reading took, how many times as long as ``YARDSTICK_SECONDS`` a
fixed piece of work took beside it, and the peak of the resident memory in MiB
(0 where the kernel does not tell it).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

from edge_runtime.errors import ImageError
from edge_runtime.images import reader
from tests.places import ROOT

SECONDS = 60
"""What one image may take; an idle machine needs at most three."""
PROCESSOR_SECONDS = 6.0
"""What one image may take of the processor, on one whose yardstick is the next line's.

A sound image of 64 million pixels takes up to 2.5. What a reader does again for each part of a file takes minutes.
"""
YARDSTICK_SECONDS = 0.245
_BLOCK_BYTES, _BLOCKS = 1_000_000, 100
_BLOCK = zlib.compress(bytes(_BLOCK_BYTES), 1)
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def read_apart(paths: list[str]) -> list[dict[str, Any]]:
    """Read paths in a process of its own; what it dies of, or takes too long for, is missing with all that follow."""
    command = [sys.executable, "-m", "tests.integration.hostile.bounded_reader"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            out, _ = process.communicate(json.dumps(paths), timeout=SECONDS * 4)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
    return [json.loads(line) for line in out.splitlines()]


def soon(found: dict[str, Any]) -> bool:
    """Whether reading took no more of the processor than it may, allowing for a slow or busy processor."""
    return bool(found["processor_seconds"] <= PROCESSOR_SECONDS * max(1.0, found["slowness"]))


def _slowness() -> float:
    """Inflate 100 MB into new memory, and compare its processor time: the kind of work that reading an image is."""
    start = time.process_time()
    with mmap.mmap(-1, _BLOCK_BYTES * _BLOCKS) as memory:  # which goes back as a whole; the heap would keep some
        for _ in range(_BLOCKS):
            memory.write(zlib.decompress(_BLOCK))
    return (time.process_time() - start) / YARDSTICK_SECONDS


def _answer(path: str) -> dict[str, object]:
    start = time.process_time()
    try:
        pixels = reader.read(path).pixels
    except ImageError as error:
        return {"code": error.code, "processor_seconds": round(time.process_time() - start, 2)}
    spent = round(time.process_time() - start, 2)
    digest = hashlib.sha256(pixels.data).hexdigest()
    ends = [int(pixels.min()), int(pixels.max())]
    return {
        "shape": list(pixels.shape),
        "dtype": str(pixels.dtype),
        "ends": ends,
        "sha256": digest,
        "processor_seconds": spent,
    }


def _peak_mib() -> int:
    """The high-water mark since it was last reset (proc_pid_status(5)); ru_maxrss would keep the parent's."""
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _main() -> None:
    for path in json.load(sys.stdin):
        before = _slowness()
        if _RESET.exists():
            _RESET.write_text("5")
        start = time.monotonic()
        found = _answer(path)
        found |= {"seconds": round(time.monotonic() - start, 2), "peak_mib": _peak_mib()}
        found["slowness"] = round(max(before, _slowness()), 2)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    _main()
