"""``python -m benchmarks serve``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from benchmarks import networks, report
from benchmarks.cases.serving import under_load
from benchmarks.settings import Settings


@click.command()
@click.option("--model", default=None, help="A bundle that ships; the default model of edge-predict.")
@click.option("--requests", type=click.IntRange(1), default=2000, show_default=True, help="Requests in a turn.")
@click.option("--connections", type=click.IntRange(1), default=200, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
def serve(model: str | None, requests: int, connections: int, rounds: int) -> None:
    """Send requests over many connections, with a place in the queue for each, then with the default queue.

    The status is 1 if a request is lost, a status is neither 200 nor 503, or health, memory or cost miss their limits.
    """
    name = model or networks.names()[0]
    faults = []
    for queue in (connections, None):
        with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
            settings = Settings(Path(scratch), rounds=rounds, requests=max(requests, connections))
            network = networks.load(name, None, settings.scratch, 1)
            table, found = under_load(network, settings, connections, queue)
        click.echo(f"queue {queue or 'default'}\n\n{report.markdown([table], [])}\n")
        faults += found
    if faults:
        raise click.ClickException("; ".join(faults))
