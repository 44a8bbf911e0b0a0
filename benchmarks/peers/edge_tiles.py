"""This package: ``Predictor.predict_tiles`` on a slide that is in memory, with one worker."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function of a slide: how many tiles the float32 file decided."""
    from edge_runtime import ColourOrder, Predictor

    predictor = Predictor.load(task.model)
    return lambda item: int(predictor.predict_tiles(item.image, order=ColourOrder.BGR, workers=1).reruns)
