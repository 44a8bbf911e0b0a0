"""Where a cold ``edge-predict`` spends its processor time and memory, beside the minimal script, in turns in one run.

    python -m benchmarks cold-stages [--model NAME] [--images MODEL=FOLDER] [--rounds 20] [--cpu 1]

The packages are imported first, as the minimal script does, so that the stage of this package is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click

from benchmarks import contestant
from benchmarks.cases.cold_start import arguments, script
from benchmarks.cli.options import load_networks, on_cores, run_options, settings_of
from benchmarks.networks import Network


class Stage(NamedTuple):
    """The end of a stage: processor seconds and peak memory, MB of 10^6 bytes, since the process began."""

    name: str
    processor_s: float
    peak_mb: float


PROBE = """
import gc, json, os, sys
from time import process_time

del sys.path[0]
stages = []

def ends(stage):
    with open("/proc/self/status") as status:
        (peak,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
    stages.append((stage, process_time(), int(peak) * 1024 / 1e6))

def marked(owner, name, before, after):
    function = getattr(owner, name)
    def call(*given, **named):
        if before:
            ends(before)
        found = function(*given, **named)
        ends(after)
        return found
    setattr(owner, name, call)

ends("interpreter")
gc.disable()
import click, cv2, numpy
from ai_edge_litert.interpreter import Interpreter
ends("import of click, NumPy, OpenCV, LiteRT")
from edge_runtime import predictor
from edge_runtime.cli.predict import main
gc.freeze()
gc.enable()
ends("import of this package")
marked(predictor, "find_files", "options", "bundle.json: read, hashed, checked")
marked(predictor.ModelSession, "open_first", "", "model file: read, hashed, opened")
try:
    main()
finally:
    ends("image: read, classified, printed")
    print(json.dumps(stages), flush=True)
    os._exit(0)  # as the command does: edge_runtime.cli.start
"""


def stages_of(network: Network) -> list[Stage]:
    """Run the command once; return its stages, the exit last."""
    printed, processor_s = _run("-c", PROBE, *arguments(network))
    stages = [Stage(*stage) for stage in json.loads(printed.splitlines()[-1])]
    return [*stages, Stage("exit", processor_s, stages[-1].peak_mb)]


def _run(*command: str) -> tuple[str, float]:
    """Run Python; return what it printed, and its processor seconds."""
    environment = {**contestant.environment(), "PYTHONPATH": str(contestant.ROOT)}
    with tempfile.TemporaryFile() as out:
        run = subprocess.Popen([sys.executable, *command], env=environment, stdout=out, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return out.read().decode(), used.ru_utime + used.ru_stime


@click.command()
@run_options
def cold_stages(
    models: Sequence[str], folders: Sequence[str], rounds: int | None, cpu: Sequence[int], tiny: bool
) -> None:
    """Print the stages of a cold command, medians over the rounds."""
    with on_cores(cpu), tempfile.TemporaryDirectory() as scratch:
        settings = settings_of(Path(scratch), folders, rounds, tiny)
        for network in load_networks(models, settings):
            stages_of(network)  # warms the disk, and may replay known answers
            turns = [(stages_of(network), _run(*script(network))[1]) for _ in range(rounds or settings.cold_starts)]
            print(table(network.name, [found for found, _ in turns], [processor_s for _, processor_s in turns]))


def table(name: str, found: Sequence[Sequence[Stage]], script_s: Sequence[float]) -> str:
    """Return the table of a network: milliseconds of each stage, and the peak memory at its end."""
    lines = [f"#### Stages of a cold command, `{name}`", "", "| stage | ms | peak MB at its end |", "|---|---|---|"]
    before_s = [0.0] * len(found)
    for stages in zip(*found, strict=True):
        after_s = [stage.processor_s for stage in stages]
        ms = median(after - before for after, before in zip(after_s, before_s, strict=True)) * 1e3
        lines.append(f"| {stages[0].name} | {ms:.1f} | {median(stage.peak_mb for stage in stages):.1f} |")
        before_s = after_s
    lines += [f"| all | {median(before_s) * 1e3:.1f} | |", f"| minimal script | {median(script_s) * 1e3:.1f} | |"]
    return "\n".join([*lines, "", f"- {len(found)} rounds in turns, one a turn.", ""])
