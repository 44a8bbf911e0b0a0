"""Records of a benchmark: medians with intervals for each row, and the machine."""

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
"""Version of the JSON format; it changes when a key is added, removed or changes its meaning."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % interval; ``low`` and ``high`` are None for fewer than 6 values."""

    median: float
    low: float | None
    high: float | None


def median_interval(values: Sequence[float]) -> Interval:
    """Return the median and its 95 % interval from order statistics.

    For any distribution, the median lies between the k-th smallest and k-th largest of n independent values with
    probability 1 - 2 P(Binomial(n, ½) < k). The largest k with a probability of 95 % or more is used
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
    """Figures of one subject.

    Attributes:
        threads: number of threads; None for Keras, which uses TensorFlow's default.
        size_ratio: size of TFLite float32 divided by this file's size; None without a TFLite float32 file.
        latency_ms: wall time of one image in ms, from tensor to logits.
        cpu_ms: processor time of one image in ms, over all threads of the process.
        speed: wall time of TFLite float32 with one thread divided by this row's, in the same round; None without a
            TFLite float32 file.
        peak_mb: peak memory of a process that imports, opens and runs the model; MB of 10^6 bytes.
        import_mb: peak memory of a process that only imports the interpreter; MB of 10^6 bytes.
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
    """The machine of a benchmark, without its name.

    Attributes:
        simd: the widest SIMD extension that numpy uses on it.
        cores: number of cores of the machine.
        usable_cores: number of cores that this process may use.
        load: load averages of the last minute, before and after the benchmark.
    """

    architecture: str
    simd: str
    cores: int
    usable_cores: int
    load: tuple[float, ...]


@dataclass(frozen=True)
class Report:
    """Result of a benchmark run.

    Attributes:
        keras_threads: TensorFlow's threads within one operation; None if no Keras model was given.
        idle_share: largest processor time of all threads together in the pause before a turn, as a share of one core;
            this includes TensorFlow's threads.
        quantised: share of each model file that is int8.
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
    """Return a description of this machine, without its name."""
    cores = os.cpu_count() or 1
    simd = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    load = (load_before, os.getloadavg()[0])
    return BenchmarkMachine(platform.machine(), simd[-1] if simd else "baseline", cores, usable, load)
