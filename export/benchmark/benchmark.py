"""Measure time, size and peak memory of each model file of a bundle in one run.

Peak memory is measured first, each row in its own process. Then all times are measured in this process, in turns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.manifest import Precision
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.preprocessor import preprocess
from export.benchmark.memory import peak_mb
from export.benchmark.report import SCHEMA, BenchmarkRow, Interval, Report, median_interval, this_machine
from export.benchmark.subject import (
    BenchmarkEngine,
    BenchmarkSubject,
    Floats,
    bundle_subjects,
    keras_subjects,
    open_subject,
)
from export.benchmark.timing import Turn, take_turns
from export.converters.isolation import in_own_process
from export.errors import ExportError
from export.quantisation.shares import shares
from export.source import keras_model
from export.validation.parity import logits_of
from training.versions import versions

SEED = 50_021

_PACKAGES = ("ai-edge-litert", "onnxruntime", "tensorflow", "keras", "numpy")


def benchmark(bundle: Bundle, model: Path | None, images: int, rounds: int) -> Report:
    """Measure every model file of ``bundle``, and the Keras model that it was exported from.

    Args:
        model: .keras file, .h5 file or SavedModel folder; None to omit the Keras rows.
        images: random images that each row runs in a round, one at a time.
        rounds: number of rounds; each row has one turn per round.

    Raises:
        ExportError: the bundle was made from another model, a file cannot be opened, or threads do not become idle.
    """
    tensors, load = noise(bundle.manifest.spec, images), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subjects = bundle_subjects(bundle, folder)
        counted = shares(folder, bundle.manifest.files)
        if model is not None:
            subjects = _with_keras(model, bundle.manifest.spec, subjects, tensors, folder)
        imports = tuple(dict.fromkeys(subject.engine for subject in subjects))
        with tqdm(total=len(imports) + (1 + rounds) * len(subjects), unit="turn", disable=None, leave=False) as bar:
            bar.set_description("memory")
            memory = _memory(subjects, imports, tensors, folder, bar.update)
            bar.set_description("time")
            turns = take_turns([open_subject(subject) for subject in subjects], tensors, rounds, bar.update)
    spec = bundle.manifest.spec
    return Report(
        schema=SCHEMA,
        bundle=spec.name,
        version=spec.version,
        contract=spec.contract,
        machine=this_machine(load),
        versions=versions(_PACKAGES),
        images=images,
        rounds=rounds,
        keras_threads=None if model is None else _tensorflow_threads(),
        idle_share=max(turn.idle_share for row in turns for turn in row),
        rows=rows(subjects, turns, memory),
        quantised=counted,
    )


def speeds(bundle: Bundle, images: int, rounds: int) -> dict[str, Interval]:
    """Return each model file's speed relative to TFLite float32, by file name; one thread each.

    Args:
        images: random images that each file runs in a round, one at a time.
        rounds: number of rounds.

    Raises:
        ExportError: the bundle has no float32 TFLite file, or threads do not become idle.
    """
    tensors = noise(bundle.manifest.spec, images)
    with tempfile.TemporaryDirectory() as name:
        subjects = [subject for subject in bundle_subjects(bundle, Path(name)) if subject.threads == 1]
        turns = take_turns([open_subject(subject) for subject in subjects], tensors, rounds, lambda: None)
    base = next((own for subject, own in zip(subjects, turns, strict=True) if subject.is_reference), None)
    if base is None:
        raise ExportError(f"{bundle.where}: found no float32 TFLite file to compare with. Export the bundle again.")
    return {subject.file: _speed(base, own) for subject, own in zip(subjects, turns, strict=True)}


def noise(spec: ModelSpec, images: int) -> Floats:
    """Return uint8 noise of the spec's input size, preprocessed with the spec's steps, float32 N×H×W×C."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    width, height = spec.size_px
    drawn = rng.integers(0, 256, (images, height, width, 3), dtype=np.uint8)
    return np.stack(
        [preprocess(DecodedImage(f"noise {i}", drawn[i], ColourOrder.BGR), spec.steps) for i in range(images)]
    )


def _with_keras(
    model: Path, spec: ModelSpec, subjects: tuple[BenchmarkSubject, ...], tensors: Floats, folder: Path
) -> tuple[BenchmarkSubject, ...]:
    """Return the subjects with the Keras rows first, after checking that the model is the bundle's network."""
    exact = next((subject for subject in subjects if subject.precision is Precision.FLOAT32), None)
    if exact is None or exact.form is None:
        raise ExportError(
            "The bundle has no float32 file, so the Keras model cannot be checked against it. Omit the Keras model."
        )
    network = folder / ("network" if model.is_dir() else "network.keras")
    given, logits, refusal = folder / "given.npy", folder / "logits.npy", folder / "refusal.txt"
    np.save(given, tensors)
    paths = (str(network), str(logits), str(refusal))
    in_own_process(keras_model.write_network, str(model), str(given), spec, None, *paths)
    if refusal.is_file():
        raise ExportError(refusal.read_text(encoding="utf-8"))
    theirs, ours = np.load(logits), logits_of(exact.path, exact.form, tensors)
    worst = float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))).max())
    if not worst <= spec.tolerance.float32_logit_max:
        raise ExportError(
            f"{model}: found logits that differ from {exact.file} by {worst:.3g} (relative), expected "
            f"{spec.tolerance.float32_logit_max:g} at most: it is another network. Give the model that was exported."
        )
    return (*keras_subjects(network, model), *subjects)


def _memory(
    subjects: Sequence[BenchmarkSubject],
    imports: Sequence[BenchmarkEngine],
    tensors: Floats,
    folder: Path,
    step: Callable[[], object],
) -> list[tuple[float, float]]:
    """Return, for each subject, the peak memory (MB) of its process and of a process that only imports."""
    bare, found = {}, []
    for engine in imports:
        bare[engine] = peak_mb(engine, None, tensors, folder)
        step()
    for subject in subjects:
        found.append((peak_mb(subject.engine, subject, tensors, folder), bare[subject.engine]))
        step()
    return found


def rows(
    subjects: Sequence[BenchmarkSubject], turns: Sequence[Sequence[Turn]], memory: Sequence[tuple[float, float]]
) -> tuple[BenchmarkRow, ...]:
    """Return the table's rows; speeds compare turns of the same round."""
    reference = next((i for i, subject in enumerate(subjects) if subject.is_reference), None)
    base = None if reference is None else (subjects[reference], turns[reference])
    return tuple(_row(*each, base) for each in zip(subjects, turns, memory, strict=True))


def _row(
    subject: BenchmarkSubject,
    turns: Sequence[Turn],
    memory: tuple[float, float],
    base: tuple[BenchmarkSubject, Sequence[Turn]] | None,
) -> BenchmarkRow:
    return BenchmarkRow(
        name=subject.name,
        file=subject.file,
        engine=subject.engine,
        threads=subject.threads,
        size_bytes=subject.size_bytes,
        size_ratio=None if base is None else base[0].size_bytes / subject.size_bytes,
        latency_ms=median_interval([turn.wall_ms for turn in turns]),
        cpu_ms=median_interval([turn.cpu_ms for turn in turns]),
        speed=None if base is None else _speed(base[1], turns),
        peak_mb=memory[0],
        import_mb=memory[1],
    )


def _speed(base: Sequence[Turn], turns: Sequence[Turn]) -> Interval:
    return median_interval([a.wall_ms / b.wall_ms for a, b in zip(base, turns, strict=True)])


def _tensorflow_threads() -> int:
    """Return the number of TensorFlow's threads within one operation; its setting 0 means all cores."""
    import tensorflow as tf

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(tf.config.threading.get_intra_op_parallelism_threads()) or usable
