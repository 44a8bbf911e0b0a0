"""Export several artifacts in all five formats, run them on three interpreters, and return one table."""

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
    """Options of the table.

    Attributes:
        out: folder for the bundles. An existing bundle is measured without export, so an interrupted run can continue.
        other_python: Python of an environment with this package's wheel and tflite-runtime; None skips tflite-runtime.
        rounds: timing rounds; 0 skips timing.
    """

    out: Path
    other_python: Path | None = None
    rounds: int = 0


@dataclass(frozen=True)
class MatrixCell:
    """One file on one interpreter.

    Attributes:
        smaller: size of the float32 TFLite file divided by this file's size.
        images: number of images compared; golden images for tflite-runtime.
        how: quantisation scheme; empty for float files.
        faster: time of the float32 TFLite file divided by this file's, in the same run with one thread; None if not
            measured.
        logit_mean, logit_max: |Δ logit| against the Keras model; the mean is None on golden images.
        flips, flips_guarded, reruns: as in the manifest; None on golden images.
        auroc_change: AUROC minus that of the Keras model; None if labels or a class are missing.
        remark: result of tflite-runtime compared with the exporting machine; empty for other interpreters.
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
    """An artifact that could not be exported, and the reason."""

    network: str
    reason: str


def fill(
    pairs: Iterable[tuple[Path, Path]], options: MatrixOptions
) -> Iterator[tuple[MatrixCell, ...] | RefusedArtifact]:
    """Export each artifact to a subfolder of ``out`` and yield its cells; after a failure, continue with the next.

    Args:
        pairs: folder of an artifact, and folder of its published data set.

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
    """Export an artifact unless its bundle exists; return the bundle's path."""
    if not bundle.exists():
        samples = bundle.parent / "calibration" / bundle.name
        write_samples(folder, data, samples / "samples.csv", CALIBRATION_IMAGES)
        export(Artifact(folder), samples, data, bundle, float16=True)
    return bundle


def cells(bundle: Path, options: MatrixOptions) -> tuple[MatrixCell, ...]:
    """Return a bundle's parity figures, with its speeds and the results of tflite-runtime if requested."""
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
