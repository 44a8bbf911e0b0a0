"""A folder of images, answered by one worker and by two, beside what the cores give at this moment."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.cases.cold_start import CODE
from benchmarks.cases.measuring import measured
from benchmarks.contestant import Command
from benchmarks.networks import Network
from benchmarks.settings import Settings
from benchmarks.turns import Table
from edge_runtime.bundle.manifest import Format

WORKERS = 2
_PATCH_PX = 50
_BOTH = (
    "import subprocess, sys\n"
    "both = [subprocess.Popen([sys.executable, *sys.argv[1:]]) for _ in range(2)]\n"
    "sys.exit(max(each.wait() for each in both))"
)
_LOOP = (
    "import sys, glob\n"
    "from benchmarks.peers.litert_model import open_model\n"
    "from benchmarks.peers.steps import LEVELS, prepared\n"
    "import cv2\n"
    "run, levels = open_model(sys.argv[2]), LEVELS[sys.argv[1]]\n"
    "for path in sorted(glob.glob(sys.argv[3] + '/*'))[:int(sys.argv[4])]: run(prepared(levels(cv2.imread(path))))"
)


def folder(network: Network, settings: Settings) -> Table:
    """Measure ``edge-predict FOLDER`` with one worker and with two; wall time is what counts here."""
    place = settings.scratch / f"{network.name}-folder"
    place.mkdir()
    count = max(WORKERS, settings.folder_images * _PATCH_PX**2 // network.side_px**2)
    for number in range(count):
        source = Path(network.paths[number % len(network.paths)])
        shutil.copy(source, place / f"{number:06}{source.suffix}")
    loop = ["-c", _LOOP, network.name, network.file(Format.TFLITE), str(place)]
    half = count // WORKERS
    with ExitStack() as stack:
        contestants = [
            Command("edge-predict, one worker", _command(place, network, 1)),
            Command("edge-predict, two workers", _command(place, network, WORKERS)),
            Command("hand-written loop, one process", [sys.executable, *loop, str(count)]),
            Command("hand-written loop, two processes of half", [sys.executable, "-c", _BOTH, *loop, str(half)]),
        ]
        for each in contestants:
            stack.callback(each.close)
        remark = "with the start of the process; two processes of half show what the cores give at this moment"
        case = f"a folder of {count} images"
        return measured(case, network.name, contestants, (), settings, rounds=min(settings.rounds, 9), remarks=[remark])


def _command(place: Path, network: Network, workers: int) -> list[str]:
    return [sys.executable, "-c", CODE, str(place), "--model", network.name, "--json", "--workers", str(workers)]
