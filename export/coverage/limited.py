"""Run a command with a limit of time and of memory, for it and all processes that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.25

_SESSION, _USER, _SYSTEM, _RESIDENT = 3, 11, 12, 21
"""Fields of ``/proc/PID/stat`` after the name of the program."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: its exit status; None if it was stopped at a limit.
        error: what it wrote to stderr.
        seconds: wall time.
        processor_seconds: processor time of its processes, user and system, sampled likewise; of each process, what it
            used in the last quarter of a second is missing.
        peak_bytes: largest sum of the resident memory of its processes, sampled four times a second.
        limit: the limit at which it was stopped, in words; empty otherwise.
    """

    status: int | None
    error: str
    seconds: float
    processor_seconds: float
    peak_bytes: int
    limit: str = ""


def run(command: Sequence[str], environment: Mapping[str, str], log: Path, seconds: float, memory: int) -> Ended:
    """Run a command in a session of its own, without stdin; kill the session at a limit.

    Args:
        log: file for its stderr.
        seconds: limit of wall time.
        memory: limit of resident memory, in bytes.
    """
    start, peak, limit = time.monotonic(), 0, ""
    used: dict[int, float] = {}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            while process.poll() is None and not limit:
                peak = max(peak, _sample(process.pid, used))
                if peak > memory:
                    limit = f"more than {memory / 2**30:g} GiB of memory"
                elif time.monotonic() - start > seconds:
                    limit = f"more than {seconds / 60:g} minutes"
                time.sleep(_EVERY_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    taken = time.monotonic() - start
    text = log.read_text(encoding="utf-8", errors="replace")
    status = None if limit else process.returncode
    return Ended(status, text, taken, sum(used.values()), peak, limit)


def _sample(session: int, used: dict[int, float]) -> int:
    """Return the resident memory of all processes of a session, in bytes; pages that they share count once each.

    Args:
        used: process → its processor time so far, in seconds; changed in place. A process that has ended stays.
    """
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[_SESSION]) == session:
                used[int(folder.name)] = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
                total += (int(fields[_RESIDENT]) - _shared(folder)) * _PAGE
        except (OSError, IndexError, ValueError):  # it has ended
            continue
    return total


def _shared(folder: Path) -> int:
    """Return the number of resident pages that a process shares, which files on disk back."""
    return int((folder / "statm").read_text().split()[2])
