"""This package: ``Predictor.explain``, or ``Predictor.predict``, with the float32 file."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], None]:
    """Return a function of an item; the option ``call`` is ``explain``, ``predict`` or ``draw``."""
    from edge_runtime import ColourOrder, Precision, Predictor, Runtime
    from edge_runtime.explain.overlay import heatmap_png

    backend, what = Runtime(task.options.get("backend", "litert")), task.options["call"]
    predictor = Predictor.load(task.model, backend=backend, precision=Precision.FLOAT32)

    def call(item: Item) -> None:
        if what == "predict":
            predictor.predict(item.image, region=item.region, order=ColourOrder.BGR)
            return
        found = predictor.explain(item.image, region=item.region, order=ColourOrder.BGR)
        if what == "draw":
            heatmap_png(found)

    return call
