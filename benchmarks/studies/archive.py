"""What an archive costs: processor time for each further image, and the memory of the planning and running process.

    python -m benchmarks archive-cost --folder PATCHES [--engine local --engine dask --engine ray] [--rounds 3]
    python -m benchmarks archive-memory [--records 1000 --records 1000000]

``archive-cost`` runs every engine, and ``edge-predict --workers 2 --json``, on a small and on a large part of the
folder, in turns. The processor time of all processes of a run is summed (their CPU times are read ten times a second,
found by a mark in their environment). The difference of the two sizes is the marginal cost, without the start of the
engine.

``archive-memory`` plans lists of paths that do not exist, so that each image costs little, and prints the largest
resident size of ``plan``, of the driver of ``run`` (its workers not included), of ``status`` and of ``merge``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import click
import psutil

COMMAND = [sys.executable, "-m", "edge_runtime.cli.predict"]
MARK = "EDGE_BENCHMARK_MARK"
SMALL = 1000


def processor_seconds(*arguments: object) -> float:
    """Run the command; return the processor seconds of all its processes."""
    mark, spent = uuid4().hex, dict[int, float]()
    environment = {**os.environ, MARK: mark, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as nowhere:
        started = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], env=environment, stdout=nowhere, stderr=subprocess.DEVNULL
        )
        while started.poll() is None:
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    if process.pid in spent or process.environ().get(MARK) == mark:
                        times = process.cpu_times()
                        spent[process.pid] = times.user + times.system
            time.sleep(0.1)
    assert started.returncode in (0, 1), started.returncode
    return sum(spent.values())


def peak_mb(*arguments: object) -> float:
    """Run the command; return the largest resident size of its own process in MB."""
    script = (
        "import resource, sys\nfrom edge_runtime.cli.predict import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return float(done.stderr.split()[-1])


def cost(folder: Path, engines: Sequence[str], rounds: int) -> None:
    """Print processor milliseconds for each further image."""
    found: dict[str, list[float]] = {name: [] for name in ("edge-predict", *engines)}
    with tempfile.TemporaryDirectory() as scratch:
        images = sorted(folder.rglob("*.png"))
        small, large = Path(scratch) / "small", Path(scratch) / "large"
        for place, part in ((small, images[:SMALL]), (large, images)):
            for number, path in enumerate(part):
                copy = place / f"{number // 500:04}" / f"{number:07}.png"
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        for _ in range(rounds):
            for name, values in found.items():
                further = run_seconds(name, large) - run_seconds(name, small)
                values.append(further / (len(images) - SMALL) * 1000)
    base = statistics.median(found["edge-predict"])
    for name, values in found.items():
        middle, shown = statistics.median(values), ", ".join(f"{value:.3f}" for value in values)
        print(f"{name:14} {middle:.3f} ms an image, {middle / base:.2f} x edge-predict ({shown})", flush=True)


def run_seconds(name: str, folder: Path) -> float:
    """Return the processor seconds of one run over a folder."""
    if name == "edge-predict":
        return processor_seconds(folder, "--json", "--workers", 2)
    archive = folder.with_name("archive")
    plan = ["archive", "plan", str(folder), "--out", str(archive)]
    subprocess.run([*COMMAND, *plan], check=True, stderr=subprocess.DEVNULL)
    spent = processor_seconds("archive", "run", archive, "--engine", name, "--workers", 2)
    shutil.rmtree(archive)
    print(f"{name} {folder.name}: {spent:.1f} s in all", flush=True)
    return spent


def memory(sizes: Sequence[int]) -> None:
    """Print the largest resident sizes."""
    print(f"{'records':>10} {'plan':>7} {'run':>7} {'status':>7} {'merge':>7}  MB")
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            archive, listed = Path(scratch) / "a", Path(scratch) / "list.txt"
            with listed.open("w", encoding="utf-8") as file:
                file.writelines(f"/nowhere/{number // 1000:06}/{number:09}.png\n" for number in range(size))
            steps = (
                ("archive", "plan", listed, "--out", archive),
                ("archive", "run", archive, "--workers", 2),
                ("archive", "status", archive),
                ("archive", "merge", archive, "--out", Path(scratch) / "all.parquet"),
            )
            peaks = [peak_mb(*step) for step in steps]
        print(f"{size:10} " + " ".join(f"{peak:7.0f}" for peak in peaks), flush=True)


@click.command()
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--engine", "engines", multiple=True, default=("local", "dask", "ray"), show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def archive_cost(folder: Path, engines: tuple[str, ...], rounds: int) -> None:
    """Print the processor time of each further image, by engine, beside edge-predict --workers 2."""
    cost(folder, engines, rounds)


@click.command()
@click.option("--records", type=click.IntRange(1), multiple=True, default=(1_000, 10_000, 100_000, 1_000_000))
def archive_memory(records: tuple[int, ...]) -> None:
    """Print the largest resident size of plan, run, status and merge, by number of records."""
    memory(records)
