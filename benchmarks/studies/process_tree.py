"""Processor time of a command and of all processes below it, also of those that it does not wait for."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from uuid import uuid4

import psutil

MARK = "EDGE_BENCHMARK_MARK"
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def processor_seconds(*arguments: object) -> float:
    """Run Python with these arguments; return the processor seconds of all its processes.

    They are counted in two ways, and the larger sum is returned. Linux adds a process to the one that waits for it:
    this is exact, and this process waits for all that lose their parent. But it leaves out processes whose parent
    ignores their end, as Ray's does. So the times of all processes are also read ten times a second, by a mark in their
    environment.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    mark, before = uuid4().hex, _of_ended()
    environment = {**os.environ, MARK: mark, "OMP_NUM_THREADS": "1"}
    ours, others = dict[psutil.Process, float](), set[psutil.Process]()
    with tempfile.TemporaryFile() as nowhere:
        started = subprocess.Popen(
            [sys.executable, *map(str, arguments)], env=environment, stdout=nowhere, stderr=subprocess.DEVNULL
        )
        while started.poll() is None:
            _look(mark, ours, others)
            time.sleep(0.1)
    assert started.returncode in (0, 1), started.returncode
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return max(_of_ended() - before, sum(ours.values()))


def _look(mark: str, ours: dict[psutil.Process, float], others: set[psutil.Process]) -> None:
    """Read the processor seconds of all living processes with the mark; the environment of each is read once."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process in others:
                continue
            if process not in ours and process.environ().get(MARK) != mark:
                others.add(process)
                continue
            times = process.cpu_times()
            ours[process] = times.user + times.system


def _of_ended() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
