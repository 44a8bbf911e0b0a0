"""A contestant's process: opens one peer, then answers the items that it is told to, and reports the time of each.

    python -m benchmarks.worker TASK [RUNTIME]

``TASK`` is JSON (:class:`benchmarks.task.Task`). ``RUNTIME`` is the root of another checkout, whose ``edge_runtime`` is
measured. Lines of JSON come on stdin, and one answer for each leaves on stdout. What libraries print goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from benchmarks.memory import peak_mb
from benchmarks.task import Item, Task

WARM_UP = 2
"""Untimed items before a turn: other contestants ran in between and filled the processor's caches."""


def main() -> None:
    """Open the peer and take turns until stdin ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task = Task.from_json(sys.argv[1])
    sys.path[:0] = sys.argv[2:3]
    try:
        call, items = importlib.import_module(task.peer).open_peer(task), task.items()
        answers = [call(item) for item in items]
    except Exception as error:  # told to the parent as the reason why this row has no figures
        _say(out, {"failure": f"{type(error).__name__}: {error}".splitlines()[0][:300]})
        return
    _say(out, {"answers": answers})
    for line in sys.stdin:
        asked: list[int] = json.loads(line)
        _say(out, _turn(call, [items[i] for i in asked]))


def _turn(call: Callable[[Item], Any], items: list[Item]) -> dict[str, Any]:
    for item in items[:WARM_UP]:
        call(item)
    walls, processor = [], []
    for item in items:
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        call(item)
        processor.append((time.process_time_ns() - cpu) / 1e9)
        walls.append((time.perf_counter_ns() - wall) / 1e9)
    return {"wall_s": walls, "processor_s": processor, "peak_mb": peak_mb()}


def _say(out: TextIO, record: dict[str, Any]) -> None:
    out.write(json.dumps(record) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
