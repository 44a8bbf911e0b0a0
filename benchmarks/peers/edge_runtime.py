"""This package: ``Predictor.predict`` as its documentation shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.task import Item, Task

RERUN, ONCE = "rerun", "once"
"""Answers: int8 and then float32 ran; only the first file ran."""


def open_peer(task: Task) -> Callable[[Item], str]:
    """Return a function of an item that says which files ran."""
    from edge_runtime import ColourOrder, Predictor, Runtime

    predictor = Predictor.load(task.model, backend=Runtime(task.options.get("backend", "litert")))
    more: dict[str, Any] = {"order": ColourOrder.BGR} if task.kind in ("array", "read-only array") else {}

    def call(item: Item) -> str:
        found = predictor.predict(item.image, region=item.region, **more)
        return ONCE if found.precision == predictor.precision.value else RERUN

    return call
