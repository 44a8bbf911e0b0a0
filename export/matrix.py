"""Many artifacts, one table: each exported in all five formats, and run on three interpreters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import KERAS, Format, Manifest, Parity, Precision
from edge_runtime.errors import EdgeError
from export.benchmark.benchmark import speeds
from export.errors import ExportError
from export.pipeline import export
from export.validation import tflite_runtime_environment
from training.artifact import Artifact
from training.errors import TrainingError
from training.fitting.calibration_samples import write_samples

CALIBRATION_IMAGES = 256
IMAGES_A_TURN = 5

_REFERENCE = (Format.TFLITE, Precision.FLOAT32)


@dataclass(frozen=True)
class MatrixOptions:
    """How the table is made.

    Attributes:
        out: folder for the bundles; one that is already there is measured as it is, so that an interrupted run goes on.
        other_python: the Python of an environment with this package's wheel and tflite-runtime; None leaves it out.
        rounds: turns of timing each file; 0 leaves times out.
    """

    out: Path
    other_python: Path | None = None
    rounds: int = 0


@dataclass(frozen=True)
class MatrixCell:
    """One file on one interpreter.

    Attributes:
        smaller: the float32 TFLite file's size over this file's.
        images: images that were compared; golden images for tflite-runtime.
        how: the way of quantising; empty for float files.
        faster: the float32 TFLite file's time over this file's in the same run, one thread; None where not taken.
        logit_mean, logit_max: |Δ logit| against the Keras model; the mean is None on golden images.
        flips, flips_guarded, reruns: as in the manifest; None on golden images.
        auroc_change: against the Keras model; None where labels or a class are missing.
        remark: what tflite-runtime did beside the exporting machine; empty for the others.
    """

    network: str
    file: str
    runtime: str
    size_bytes: int
    smaller: float
    images: int
    how: str = ""
    faster: float | None = None
    logit_mean: float | None = None
    logit_max: float | None = None
    flips: int | None = None
    flips_guarded: int | None = None
    reruns: int | None = None
    auroc_change: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class RefusedArtifact:
    """An artifact that could not be exported, and why."""

    network: str
    reason: str


def fill(
    pairs: Iterable[tuple[Path, Path]], options: MatrixOptions
) -> Iterator[tuple[MatrixCell, ...] | RefusedArtifact]:
    """Export each artifact into a folder below ``out``, and yield its cells; one that fails leaves the rest alone.

    Args:
        pairs: an artifact, and where its published data set lies.

    Raises:
        ExportError: the other Python has no tflite-runtime or no self-test.
    """
    if options.other_python is not None:
        tflite_runtime_environment.check_python(options.other_python)
    for folder, data in pairs:
        name = folder.name
        try:
            name = Artifact(folder).spec().name
            yield cells(_bundle(folder, data, options.out / name), options)
        except (ExportError, TrainingError, EdgeError) as error:
            yield RefusedArtifact(name, str(error))


def _bundle(folder: Path, data: Path, bundle: Path) -> Path:
    """Export an artifact unless its bundle is there; return where it is."""
    if not bundle.exists():
        samples = bundle.parent / "calibration" / bundle.name
        write_samples(folder, data, samples / "samples.csv", CALIBRATION_IMAGES)
        export(Artifact(folder), samples, data, bundle, float16=True)
    return bundle


def cells(bundle: Path, options: MatrixOptions) -> tuple[MatrixCell, ...]:
    """Return what a bundle's manifest says, how fast its files are, and what tflite-runtime gives elsewhere."""
    found = find(bundle)
    manifest = found.manifest
    taken = speeds(found, IMAGES_A_TURN, options.rounds) if options.rounds else {}
    sizes = {entry.name: entry.size_bytes for entry in manifest.files}
    float32 = next(e.size_bytes for e in manifest.files if (e.format, e.precision) == _REFERENCE)
    rows = [_cell(manifest, row, sizes[row.file], float32) for row in manifest.parity]
    rows = [replace(row, faster=taken[row.file].median) if taken else row for row in rows]
    if options.other_python is not None:
        replayed = tflite_runtime_environment.replay(bundle, manifest, options.other_python)
        rows += [_replayed(manifest, row, sizes[row.file], float32) for row in replayed]
    return tuple(rows)


def _cell(manifest: Manifest, row: Parity, size: int, float32: int) -> MatrixCell:
    ways = [attempt.how for attempt in manifest.attempts if attempt.file == row.file and attempt.passed]
    labels = {labelled.subject: labelled for labelled in manifest.labelled}
    return MatrixCell(
        network=manifest.spec.name,
        file=row.file,
        runtime=row.runtime,
        size_bytes=size,
        smaller=float32 / size,
        images=row.images,
        how=ways[-1] if ways else "",
        logit_mean=row.logit_mean,
        logit_max=row.logit_max,
        flips=row.flips,
        flips_guarded=row.flips_guarded,
        reruns=row.reruns,
        auroc_change=labels[row.file].auroc_change(labels[KERAS]) if labels else None,
    )


def _replayed(manifest: Manifest, row: tflite_runtime_environment.GoldenReplay, size: int, float32: int) -> MatrixCell:
    return MatrixCell(
        network=manifest.spec.name,
        file=row.file,
        runtime=tflite_runtime_environment.RUNTIME,
        size_bytes=size,
        smaller=float32 / size,
        images=row.images,
        logit_max=row.keras_difference,
        remark=row.remark,
    )
