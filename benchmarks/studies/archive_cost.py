"""What an archive costs on each engine, in processor time: the task itself, and what the engine adds.

    python -m benchmarks archive-cost --folder PATCHES [--engine local --engine dask --engine ray] [--rounds 5]

It prints three tables.

1. One shard in this process, as a ratio to the JSON lines of its images: what a shard adds without an engine.
2. The engine alone, with tasks that do nothing: its start, each further task, and each second of waiting.
3. A further image, on every engine and with ``edge-predict --workers 2 --json``, in turns. The difference of two sizes
   is the marginal cost: it holds no start, as both sizes have several shards for each worker. Of it, ``task`` is the
   processor time of the threads that run tasks, which is read in the worker: it is that of the shards after the first
   one of each process. ``engine`` is all else: other threads of the workers, scheduler, helper processes and driver.

The processor time of the same work differs with what other programs do on the same core. So the ratios of one round
count, and a round in which ``task`` itself is far from the others was disturbed.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.studies import archive_tasks
from benchmarks.studies.archive_tasks import WORKERS, times_in
from benchmarks.studies.process_tree import processor_seconds
from edge_runtime.archive.planning import plan_archive
from edge_runtime.archive.scoring import score_shard
from edge_runtime.predictor import Predictor
from edge_runtime.results.lines import to_line

COMMAND, TASKS = ("-m", "edge_runtime.cli.predict"), ("-c", archive_tasks.COMMAND)
SHARDS_PER_WORKER = 3
BASE = "edge-predict"
FEW, MANY, WAIT_S = 20, 3020, 60
"""Tasks of the runs without work, and the longer wait of one task on each worker. Starts differ by up to a second."""


@dataclass(frozen=True)
class Spent:
    """Processor seconds of a run.

    Attributes:
        whole_s: of all processes.
        task_s: of the threads that ran tasks.
        later_s: of these, what tasks after the first of each process took; they scored ``later`` shards.
        beside_s: of the other threads of the workers, while a task ran.
    """

    whole_s: float
    task_s: float = 0.0
    later_s: float = 0.0
    later: int = 0
    beside_s: float = 0.0


@dataclass(frozen=True)
class ImageCost:
    """Processor milliseconds of one further image: all, the task, and what the engine adds.

    The first is a difference of two runs and the second a mean of tasks, so the parts add up only roughly.
    """

    whole: float
    task: float
    engine: float

    @classmethod
    def of(cls, few: Spent, many: Spent, images: int, shard_size: int) -> ImageCost:
        """Return the cost of each of ``images`` that only the longer run had."""
        rest = (many.whole_s - many.task_s) - (few.whole_s - few.task_s)
        task = 1000 * (few.later_s + many.later_s) / max(1, (few.later + many.later) * shard_size)
        return cls(1000 * (many.whole_s - few.whole_s) / images, task, 1000 * rest / images)


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


def engine_alone(name: str) -> tuple[float, float, float]:
    """Return processor time of an engine without work: seconds to start, ms for each task, ms for each second."""
    few, many = (processor_seconds(*TASKS, name, tasks, 0) for tasks in (FEW, MANY))
    short, long = (processor_seconds(*TASKS, name, WORKERS, wait) for wait in (0, WAIT_S))
    return short, 1000 * (many - few) / (MANY - FEW), 1000 * (long - short) / WAIT_S


def run(name: str, folder: Path, shard_size: int) -> Spent:
    """Return what one run over a folder took."""
    if name == BASE:
        return Spent(processor_seconds(*COMMAND, folder, "--json", "--workers", WORKERS))
    archive = folder.with_name("archive")
    plan = ["archive", "plan", str(folder), "--out", str(archive), "--shard-size", str(shard_size)]
    subprocess.run([sys.executable, *COMMAND, *plan], check=True, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as log:
        whole = processor_seconds(*TASKS, name, archive, log)
        times = times_in(Path(log))
    shutil.rmtree(archive)
    later = [each.task_s for each in times if not each.first]
    beside = sum(each.beside_s for each in times)
    return Spent(whole, sum(each.task_s for each in times), sum(later), len(later), beside)


def cost(folder: Path, engines: Sequence[str], rounds: int, sizes: tuple[int, int], shard_size: int) -> None:
    """Print the three tables."""
    images = sorted(folder.rglob("*.png"))[: sizes[1]]
    if len(images) < sizes[1]:
        raise click.UsageError(f"{folder}: found {len(images)} PNG images, expected --large {sizes[1]}. Name another.")
    print(f"one shard, one process: {_middle(one_shard(images[:shard_size], 2 * rounds), 2)} x JSON lines", flush=True)
    print(f"\n{'engine alone':12} {'start':>8} {'a task':>10} {'a second':>10}", flush=True)
    for name in engines:
        start, task, second = engine_alone(name)
        print(f"{name:12} {start:6.2f} s {task:7.2f} ms {second:7.1f} ms", flush=True)
    found: dict[str, list[ImageCost]] = {name: [] for name in (BASE, *engines)}
    with tempfile.TemporaryDirectory() as scratch:
        small, large = _copied(images[: sizes[0]], Path(scratch) / "small"), _copied(images, Path(scratch) / "large")
        for turn in range(rounds):
            for name, costs in found.items():
                few, many = run(name, small, shard_size), run(name, large, shard_size)
                costs.append(each := ImageCost.of(few, many, sizes[1] - sizes[0], shard_size))
                split = "" if name == BASE else f" = task {each.task:.3f} + engine {each.engine:.3f}"
                beside = "" if name == BASE else f"; other threads of workers {few.beside_s + many.beside_s:.2f} s"
                totals = f"{few.whole_s:6.2f} s {many.whole_s:6.2f} s"
                print(f"round {turn + 1} {name:12} {totals} {each.whole:.3f} ms{split}{beside}", flush=True)
    print(f"\nms for a further image, and times {BASE} of the same round; median (range) of {rounds} rounds")
    for name, costs in found.items():
        bases = [base.whole for base in found[BASE]]
        print(f"{name:12} {_row([each.whole for each in costs], bases)}", flush=True)
        if name != BASE:
            print(f"{'  task':12} {_row([each.task for each in costs], bases)}", flush=True)
            print(f"{'  engine':12} {_row([each.engine for each in costs], bases)}", flush=True)


def _copied(images: Sequence[Path], place: Path) -> Path:
    """Copy the images into folders of 500."""
    for number, path in enumerate(images):
        copy = place / f"{number // 500:04}" / f"{number:07}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return place


def _row(values: Sequence[float], bases: Sequence[float]) -> str:
    ratios = [value / base for value, base in zip(values, bases, strict=True)]
    return f"{_middle(values, 3):24}   {_middle(ratios, 2)}"


def _middle(values: Sequence[float], digits: int) -> str:
    middle, low, high = (f"{each:.{digits}f}" for each in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


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
