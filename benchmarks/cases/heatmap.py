"""A heatmap beside the answer alone, both with the float32 file."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from benchmarks.cases.measuring import measured, opened
from benchmarks.contestant import Worker
from benchmarks.networks import Network
from benchmarks.settings import Settings
from benchmarks.turns import Table


def heatmap(network: Network, settings: Settings) -> Table:
    """Measure ``explain``, and ``explain`` with the drawing, beside ``predict``."""
    calls = {"predict": "predict, float32", "explain": "explain", "draw": "explain, drawn as PNG"}
    wanted = [(name, partial(_worker, network, call, name)) for call, name in calls.items()]
    with ExitStack() as stack:
        contestants, skipped = opened(stack, wanted)
        items, per_turn = range(len(network.paths)), min(settings.items, len(network.paths))
        return measured("heatmap", network.name, contestants, skipped, settings, items=items, per_turn=per_turn)


def _worker(network: Network, call: str, name: str) -> Worker:
    return Worker(name, network.task("edge_heatmap", network.name, options={"call": call}))
