"""What an archive costs: processor time for each further image, and the memory of the planning and running process.

    python -m benchmarks archive-cost --folder PATCHES [--engine local --engine dask --engine ray] [--rounds 5]
    python -m benchmarks archive-memory [--records 1000 --records 1000000]

``archive-cost`` runs every engine, and ``edge-predict --workers 2 --json``, on a small and on a large part of the
folder, in turns. The difference of the two sizes is the marginal cost. It holds no start of an engine, as both sizes
have several shards for each worker: an idle worker loads no model, and the other size would pay for its start. Dask
gives two shards to one worker if the other starts later.

It first runs one shard in this process, and the same images as ``edge-predict --json`` does, in turns. This ratio is
what a shard adds without engine and processes, and other programs disturb it less.

``archive-memory`` plans lists of paths that do not exist, so that each image costs little, and prints the largest
resident size of ``plan``, of the driver of ``run`` (its workers not included), of ``status`` and of ``merge``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
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

from edge_runtime.archive.planning import plan_archive
from edge_runtime.archive.scoring import score_shard
from edge_runtime.predictor import Predictor
from edge_runtime.results.lines import to_line

COMMAND = [sys.executable, "-m", "edge_runtime.cli.predict"]
MARK = "EDGE_BENCHMARK_MARK"
WORKERS = 2
SHARDS_PER_WORKER = 3
BASE = "edge-predict"
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def processor_seconds(*arguments: object) -> float:
    """Run the command; return the processor seconds of all its processes.

    They are counted in two ways, and the larger sum is returned. Linux adds a process to the one that waits for it:
    this is exact, and this process waits for all that lose their parent. But it leaves out processes whose parent
    ignores their end, as Ray's does. So the times of all processes are also read ten times a second, by a mark in their
    environment.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    mark, seen, before = uuid4().hex, dict[int, float](), _of_ended()
    environment = {**os.environ, MARK: mark, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as nowhere:
        started = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], env=environment, stdout=nowhere, stderr=subprocess.DEVNULL
        )
        while started.poll() is None:
            _look(mark, seen)
            time.sleep(0.1)
    assert started.returncode in (0, 1), started.returncode
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return max(_of_ended() - before, sum(seen.values()))


def _look(mark: str, seen: dict[int, float]) -> None:
    """Read the processor seconds of all living processes with the mark."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid in seen or process.environ().get(MARK) == mark:
                times = process.cpu_times()
                seen[process.pid] = times.user + times.system


def _of_ended() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


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


def cost(folder: Path, engines: Sequence[str], rounds: int, sizes: tuple[int, int], shard_size: int) -> None:
    """Print processor milliseconds for each further image, and their ratio to ``edge-predict`` in the same round."""
    images = sorted(folder.rglob("*.png"))[: sizes[1]]
    if len(images) < sizes[1]:
        raise click.UsageError(f"{folder}: found {len(images)} PNG images, expected --large {sizes[1]}. Name another.")
    print(f"one shard, one process: {_middle(one_shard(images[:shard_size], 2 * rounds), 2)} x JSON lines", flush=True)
    found: dict[str, list[float]] = {name: [] for name in (BASE, *engines)}
    with tempfile.TemporaryDirectory() as scratch:
        small, large = Path(scratch) / "small", Path(scratch) / "large"
        for place, part in ((small, images[: sizes[0]]), (large, images)):
            for number, path in enumerate(part):
                copy = place / f"{number // 500:04}" / f"{number:07}.png"
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        for turn in range(rounds):
            for name, values in found.items():
                few, many = run_seconds(name, small, shard_size), run_seconds(name, large, shard_size)
                values.append((many - few) / (sizes[1] - sizes[0]) * 1000)
                print(f"round {turn + 1} {name:12} {few:6.2f} s {many:6.2f} s {values[-1]:.3f} ms", flush=True)
    print(f"\n{'':12} ms for a further image     x edge-predict   median (range) of {rounds} rounds")
    for name, values in found.items():
        ratios = [value / base for value, base in zip(values, found[BASE], strict=True)]
        print(f"{name:12} {_middle(values, 3):24}   {_middle(ratios, 2)}", flush=True)


def one_shard(images: Sequence[Path], turns: int) -> list[float]:
    """Return processor seconds of a shard's file, as a ratio to those of its images' JSON lines, for each turn."""
    ratios = []
    with tempfile.TemporaryDirectory() as scratch, Predictor.load("idc-patch-compact") as predictor:
        names = [str(path) for path in images]
        listed = Path(scratch) / "list.txt"
        listed.write_text("\n".join(names), encoding="utf-8")
        archive = plan_archive([str(listed)], Path(scratch) / "archive", predictor, shard_size=len(names))
        for turn in range(turns + 1):
            start = time.process_time()
            for answer in predictor.predict_all(names):
                to_line(answer)
            middle = time.process_time()
            score_shard(str(archive.folder), 0)
            if turn:  # the first one loads the model
                ratios.append((time.process_time() - middle) / (middle - start))
            archive.shard_path(0).unlink()
    return ratios


def _middle(values: Sequence[float], digits: int) -> str:
    middle, low, high = (f"{each:.{digits}f}" for each in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def run_seconds(name: str, folder: Path, shard_size: int) -> float:
    """Return the processor seconds of one run over a folder."""
    if name == BASE:
        return processor_seconds(folder, "--json", "--workers", WORKERS)
    archive = folder.with_name("archive")
    plan = ["archive", "plan", str(folder), "--out", str(archive), "--shard-size", str(shard_size)]
    subprocess.run([*COMMAND, *plan], check=True, stderr=subprocess.DEVNULL)
    spent = processor_seconds("archive", "run", archive, "--engine", name, "--workers", WORKERS)
    shutil.rmtree(archive)
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
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--small", type=click.IntRange(1), default=3000, show_default=True, help="Images of the shorter run.")
@click.option("--large", type=click.IntRange(2), default=9000, show_default=True, help="Images of the longer run.")
@click.option("--shard-size", type=click.IntRange(1), default=500, show_default=True)
def archive_cost(folder: Path, engines: tuple[str, ...], rounds: int, small: int, large: int, shard_size: int) -> None:
    """Print the processor time of each further image, by engine, beside edge-predict --workers 2."""
    least = SHARDS_PER_WORKER * WORKERS * shard_size
    if not least <= small < large:
        raise click.UsageError(
            f"found --small {small} and --large {large}, expected {least} or more and more than that: each of "
            f"{WORKERS} workers needs {SHARDS_PER_WORKER} shards. Make --shard-size smaller."
        )
    cost(folder, engines, rounds, (small, large), shard_size)


@click.command()
@click.option("--records", type=click.IntRange(1), multiple=True, default=(1_000, 10_000, 100_000, 1_000_000))
def archive_memory(records: tuple[int, ...]) -> None:
    """Print the largest resident size of plan, run, status and merge, by number of records."""
    memory(records)
