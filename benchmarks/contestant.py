"""Contestants of a table: processes that do one piece of work when it is their turn and say what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from benchmarks.task import Task

ROOT = Path(__file__).parents[1]
"""The checkout."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "2", "OPENVINO_TELEMETRY": "0"}


class NoFiguresError(Exception):
    """A contestant cannot run here; the text is the reason, for the table."""


@dataclass(frozen=True)
class Turn:
    """What one turn took: seconds of wall and processor time of each item, and peak memory in MB so far."""

    wall_s: tuple[float, ...]
    processor_s: tuple[float, ...]
    peak_mb: float


class Contestant(Protocol):
    """What takes turns.

    Attributes:
        name: name of the row.
        note: what the reader has to know about it, or the empty string.
    """

    name: str
    note: str

    def turn(self, items: Sequence[int]) -> Turn:
        """Do the work for these items, by number."""

    def close(self) -> None:
        """End its process."""


class Worker:
    """A peer in a process of its own (:mod:`benchmarks.worker`), in this environment or another.

    Attributes:
        answers: what it answered for every item before the first turn.
    """

    def __init__(
        self, name: str, task: Task, *, python: Path | None = None, runtime: Path | None = None, note: str = ""
    ) -> None:
        """Start the process and wait until it has answered every item once.

        Args:
            name: name of the row.
            task: what it has to do.
            python: interpreter of the peer's environment; None for this one.
            runtime: root of another checkout whose ``edge_runtime`` is measured; None for this one.
            note: shown below the table.

        Raises:
            NoFiguresError: the peer cannot be imported, or refuses the model.
        """
        self.name, self.note = name, note
        command = [str(python or sys.executable), "-m", "benchmarks.worker", task.to_json(), str(runtime or ROOT)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment(),
            text=True,
            bufsize=1,
        )
        opened = self._answer()
        if "failure" in opened:
            self.close()
            raise NoFiguresError(opened["failure"])
        self.answers: list[Any] = opened["answers"]

    def turn(self, items: Sequence[int]) -> Turn:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(list(items)) + "\n")
        found = self._answer()
        return Turn(tuple(found["wall_s"]), tuple(found["processor_s"]), found["peak_mb"])

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(60)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NoFiguresError(f"its process ended with status {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


class Command:
    """A program that is started anew for every item, by a small process (:mod:`benchmarks.spawner`)."""

    def __init__(self, name: str, command: Sequence[str], *, runtime: Path | None = None, note: str = "") -> None:
        """Start the small process.

        Args:
            name: name of the row.
            command: program and arguments.
            runtime: root of another checkout that the program imports from; None for this one.
            note: shown below the table.
        """
        self.name, self.note = name, note
        self._command, self._peak_mb = list(command), 0.0
        self._spawner = subprocess.Popen(
            [sys.executable, "-S", "-m", "benchmarks.spawner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**environment(), "PYTHONPATH": str(runtime or ROOT)},
            text=True,
            bufsize=1,
        )

    def turn(self, items: Sequence[int]) -> Turn:
        assert self._spawner.stdin is not None and self._spawner.stdout is not None
        walls, processor = [], []
        for _ in items:
            self._spawner.stdin.write(json.dumps(self._command) + "\n")
            wall_s, processor_s, peak_mb, status = json.loads(self._spawner.stdout.readline())
            if status not in (0, 1):  # 1: a result is not a plain answer, as for an unfamiliar image
                raise NoFiguresError(f"{self._command[:3]} ended with status {status}")
            walls.append(wall_s)
            processor.append(processor_s)
            self._peak_mb = max(self._peak_mb, peak_mb)
        return Turn(tuple(walls), tuple(processor), self._peak_mb)

    def close(self) -> None:
        for stream in (self._spawner.stdin, self._spawner.stdout):
            if stream is not None:
                stream.close()
        self._spawner.wait(60)


def environment() -> dict[str, str]:
    """Return the environment of every contestant: one thread, Python's files compiled, nothing printed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **ONE_THREAD, **QUIET, "PYTHONPATH": str(ROOT)}
