"""A hand-written loop around LiteRT: decode, resize, scale, invoke, argmax; no checks, no policy, no second file."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.litert_model import open_model
from benchmarks.peers.steps import levels_of, positive, prepared
from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function of an item: the index of the likeliest label."""
    levels, run = levels_of(task.network), open_model(task.model)
    return lambda item: positive(run(prepared(levels(item))))
