"""The cold command: a new process for one image, beside a minimal script with the same imports."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.cases.measuring import measured
from benchmarks.contestant import ROOT, Command
from benchmarks.networks import Network
from benchmarks.settings import Settings
from benchmarks.turns import Table
from edge_runtime.bundle.manifest import Format

CODE = """import sys
del sys.path[0]
try:
    from edge_runtime.cli.start import run
except ImportError:
    from edge_runtime.cli.predict import run
sys.exit(run())"""
"""The command, of this commit or an older one. The folder it is started in is no place to import from, so another
checkout can be measured."""


def cold_start(network: Network, settings: Settings) -> Table:
    """Measure ``edge-predict IMAGE`` from start to end; the first pair warms the disk."""
    with ExitStack() as stack:
        contestants = [minimal(network), ours(network)]
        for each in contestants:
            stack.callback(each.close)
            each.turn([0])
        return measured("cold command", network.name, contestants, (), settings, rounds=settings.cold_starts)


def minimal(network: Network) -> Command:
    """Return the minimal script on the first image."""
    return Command("minimal script", [sys.executable, *script(network)])


def script(network: Network) -> list[str]:
    """Return the path of the minimal script, and its arguments for the first image."""
    path, region = str(ROOT / "benchmarks" / "minimal_script.py"), network.regions[:1]
    model, circle = network.file(Format.TFLITE), [str(number) for circle in region for number in circle]
    return [path, network.name, model, network.paths[0], *circle]


def ours(
    network: Network, name: str = "edge-predict", runtime: Path | None = None, python: Path | None = None
) -> Command:
    """Return the command on the first image."""
    return Command(name, [str(python or sys.executable), "-c", CODE, *arguments(network)], runtime=runtime)


def arguments(network: Network) -> list[str]:
    """Return the arguments of the command for the first image."""
    region = [f"--region={','.join(map(str, circle))}" for circle in network.regions[:1]]
    return [network.paths[0], "--model", network.name, *region]
