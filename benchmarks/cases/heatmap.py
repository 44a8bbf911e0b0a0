"""A heatmap beside the answer alone, both with the float32 file."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.cases.measuring import measured
from benchmarks.contestant import Worker
from benchmarks.networks import Network
from benchmarks.settings import Settings
from benchmarks.turns import Table


def heatmap(network: Network, settings: Settings) -> Table:
    """Measure ``explain``, and ``explain`` with the drawing, beside ``predict``."""
    calls = {"predict": "predict", "explain": "explain", "draw": "explain, drawn as PNG"}
    with ExitStack() as stack:
        contestants = [
            Worker(name, network.task("edge_heatmap", network.name, call=call)) for call, name in calls.items()
        ]
        for each in contestants:
            stack.callback(each.close)
        items, per_turn = range(len(network.paths)), min(settings.items, len(network.paths))
        return measured("heatmap", network.name, contestants, (), settings, items=items, per_turn=per_turn)
