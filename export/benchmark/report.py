"""What a benchmark found: medians with intervals, row by row, and the machine that it was taken on."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from edge_runtime.bundle.manifest import QuantisedShare
from export.benchmark.subject import BenchmarkEngine

SCHEMA = "export-benchmark/2"
"""Version of the JSON form; a new number when any key comes, goes or changes its meaning."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % interval; None where too few values (under 6) have one."""

    median: float
    low: float | None
    high: float | None


def median_interval(values: Sequence[float]) -> Interval:
    """Return the median and its 95 % interval from order statistics.

    Whatever the distribution, the k-th smallest and k-th largest of n independent values hold the median between
    them with probability 1 - 2 P(Binomial(n, ½) < k); k is the largest for which that is 95 % or more
    (Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2).
    """
    ordered, n = sorted(values), len(values)
    k, below = 0, 0.5**n
    while below <= (1 - CONFIDENCE) / 2:
        k += 1
        below += math.comb(n, k) * 0.5**n
    low, high = (ordered[k - 1], ordered[n - k]) if k else (None, None)
    return Interval(median(ordered), low, high)


@dataclass(frozen=True)
class BenchmarkRow:
    """One subject.

    Attributes:
        threads: None for Keras, which keeps TensorFlow's own number.
        size_ratio: TFLite float32's size, divided by this one's; None without such a file, as ``speed``.
        latency_ms: wall time of one image, from tensor to logits.
        cpu_ms: processor time of one image, over all threads of the process.
        speed: TFLite float32's wall time with one thread, divided by this one's of the same round.
        peak_mb: peak memory of a process that imports, opens and runs; MB of 10^6 bytes.
        import_mb: peak memory of a process that only imports.
    """

    name: str
    file: str
    engine: BenchmarkEngine
    threads: int | None
    size_bytes: int
    size_ratio: float | None
    latency_ms: Interval
    cpu_ms: Interval
    speed: Interval | None
    peak_mb: float
    import_mb: float


@dataclass(frozen=True)
class BenchmarkMachine:
    """Where it ran, in general words.

    Attributes:
        simd: the widest extension that numpy uses here.
        cores: of the machine; ``usable_cores`` are those that this process may run on.
        load: processes that wanted to run, mean of the last minute, before and after.
    """

    architecture: str
    simd: str
    cores: int
    usable_cores: int
    load: tuple[float, ...]


@dataclass(frozen=True)
class Report:
    """A whole run.

    Attributes:
        keras_threads: TensorFlow's own number within one operation; None where no Keras model was given.
        idle_share: the most processor time that all threads together used in a pause right before a row was
            timed, as a share of one core; TensorFlow's threads are among them.
        quantised: how much of each model file has eight bits.
    """

    schema: str
    bundle: str
    version: str
    contract: str
    machine: BenchmarkMachine
    versions: dict[str, str]
    images: int
    rounds: int
    keras_threads: int | None
    idle_share: float
    rows: tuple[BenchmarkRow, ...]
    quantised: tuple[QuantisedShare, ...]


def this_machine(load_before: float) -> BenchmarkMachine:
    """Describe the machine that this process runs on, without its name."""
    cores = os.cpu_count() or 1
    simd = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    load = (load_before, os.getloadavg()[0])
    return BenchmarkMachine(platform.machine(), simd[-1] if simd else "baseline", cores, usable, load)
