"""``edge-serve`` under load beside a bare ``Predictor.predict`` of the same bytes."""

from __future__ import annotations

import resource
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.cases.measuring import measured
from benchmarks.contestant import Worker
from benchmarks.networks import Network
from benchmarks.service import Service
from benchmarks.settings import Settings
from benchmarks.turns import Table

CONNECTIONS = 20
ALLOWED = {200, 503}
HEALTH_S, MOST_MB, MOST_RATIO = 0.5, 120.0, 6.0
"""Longest answer of ``/health/live``, largest memory, and cost of a request in bare predictions.

HTTP adds about 0.4 ms to a request, twice what a prediction of the default model takes (docs/reference/http.md).
"""


def serving(network: Network, settings: Settings) -> Table:
    """Measure a request, with a place in the queue for every connection."""
    table, _ = under_load(network, settings, min(CONNECTIONS, settings.requests), CONNECTIONS)
    return table


def under_load(network: Network, settings: Settings, connections: int, queue: int | None) -> tuple[Table, list[str]]:
    """Return the table, and what is not as the service promises: lost requests, statuses, health, memory.

    Args:
        network: its first image is the body of every request.
        settings: number of rounds and of requests in a turn.
        connections: connections that send at once.
        queue: places for requests that wait; None for the default, which then refuses some with status 503.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with ExitStack() as stack:
        bare = Worker("bare predict(bytes)", network.task("edge_runtime", network.name, "bytes", 1))
        stack.callback(bare.close)
        with open(network.paths[0], "rb") as file:
            service = Service("edge-serve, one request", network.name, file.read(), connections, queue)
        stack.callback(service.close)
        requests = settings.requests // connections * connections
        rounds = min(settings.rounds, 9)
        table = measured(
            "a request to `edge-serve`",
            network.name,
            [bare, service],
            (),
            settings,
            per_turn=requests,
            rounds=rounds,
        )
        health = f"{connections} connections; the longest answer of /health/live took {service.health_s:.3f} s"
        return replace(table, remarks=(health,)), _faults(table, service, requests * rounds)


def _faults(table: Table, service: Service, sent: int) -> list[str]:
    lost, memory = sent - service.statuses.total(), table.rows[1].peak_mb
    return [
        *([f"{lost} requests were lost"] if lost else []),
        *([f"statuses were {dict(service.statuses)}"] if not set(service.statuses) <= ALLOWED else []),
        *(
            [f"/health/live took {service.health_s:.3f} s, expected under {HEALTH_S}"]
            if service.health_s >= HEALTH_S
            else []
        ),
        *([f"memory reached {memory:.0f} MB, expected under {MOST_MB:.0f}"] if memory >= MOST_MB else []),
        *(
            [f"a request costs {table.rows[1].ratio.median:.2f} bare predictions, expected {MOST_RATIO} at most"]
            if table.rows[1].ratio.median > MOST_RATIO
            else []
        ),
    ]
