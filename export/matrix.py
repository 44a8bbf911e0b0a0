"""Many artifacts, one table: each exported in all five formats, and run on three interpreters."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle import find
from edge_runtime.errors import EdgeError
from edge_runtime.manifest import KERAS, FileEntry, Manifest, Parity, Precision
from edge_runtime.records import from_json
from edge_runtime.selftest.certificate import Certificate, Step
from export.errors import ExportError
from export.pipeline import export
from training.artifact import Artifact
from training.calibration import write_samples
from training.errors import TrainingError

CALIBRATION_PICTURES = 128
OTHER = "tflite"
"""The interpreter that cannot live beside the exporter: tflite-runtime wants NumPy 1."""


@dataclass(frozen=True)
class Cell:
    """One file on one interpreter.

    Attributes:
        how: the way of quantising; empty for float files.
        size_bytes: of the file.
        of_float32: its size over the float32 TFLite file's.
        images: pictures that were compared; golden pictures for tflite-runtime.
        logit_mean, logit_max: |Δ logit| against the Keras model; the mean is None on golden pictures.
        flips, flips_guarded, reruns: as in the manifest; None on golden pictures.
        auroc_change: against the Keras model; None where labels or a class are missing.
    """

    network: str
    file: str
    runtime: str
    how: str
    size_bytes: int
    of_float32: float
    images: int
    logit_mean: float | None
    logit_max: float | None
    flips: int | None = None
    flips_guarded: int | None = None
    reruns: int | None = None
    auroc_change: float | None = None


@dataclass(frozen=True)
class Refused:
    """An artifact that could not be exported, and why."""

    network: str
    reason: str


def fill(
    pairs: Iterable[tuple[Path, Path]], out: Path, other_python: Path | None
) -> Iterator[tuple[Cell, ...] | Refused]:
    """Export each artifact into a folder below ``out``, and yield its cells; one that fails leaves the rest alone.

    A bundle that is already there is measured as it is, so that an interrupted run goes on.

    Args:
        pairs: an artifact, and where its published data set lies.
        other_python: the Python of an environment that has this package's wheel and tflite-runtime.
    """
    for folder, data in pairs:
        name = folder.name
        try:
            bundle = out / Artifact(folder).spec().name
            name = bundle.name
            if not bundle.exists():
                samples = out / "calibration" / name
                write_samples(folder, data, samples / "samples.csv", CALIBRATION_PICTURES)
                export(Artifact(folder), samples, data, bundle, float16=True)
            yield cells(bundle, other_python)
        except (ExportError, TrainingError, EdgeError) as error:
            yield Refused(name, str(error))


def cells(bundle: Path, other_python: Path | None) -> tuple[Cell, ...]:
    """Return what a bundle's manifest says, and what the other interpreter gives on its golden pictures."""
    manifest = find(bundle).manifest
    entries = {entry.name: entry for entry in manifest.files}
    float32 = next(e.size_bytes for e in manifest.files if e.precision is Precision.FLOAT32)
    found = [_cell(manifest, entries[row.file], float32, row) for row in manifest.parity]
    if other_python is not None:
        found += _elsewhere(bundle, manifest, entries, float32, other_python)
    return tuple(found)


def _cell(manifest: Manifest, entry: FileEntry, float32: int, row: Parity) -> Cell:
    ways = [attempt.how for attempt in manifest.attempts if attempt.file == entry.name and attempt.passed]
    rows = {labelled.subject: labelled for labelled in manifest.labelled}
    return Cell(
        network=manifest.spec.name,
        file=entry.name,
        runtime=row.runtime,
        how=ways[-1] if ways else "",
        size_bytes=entry.size_bytes,
        of_float32=entry.size_bytes / float32,
        images=row.images,
        logit_mean=row.logit_mean,
        logit_max=row.logit_max,
        flips=row.flips,
        flips_guarded=row.flips_guarded,
        reruns=row.reruns,
        auroc_change=rows[entry.name].auroc_change(rows[KERAS]) if rows else None,
    )


def _elsewhere(
    bundle: Path, manifest: Manifest, entries: dict[str, FileEntry], float32: int, python: Path
) -> Iterator[Cell]:
    """Replay the golden pictures with another Python's tflite-runtime.

    Raises:
        ExportError: the self-test there did not run.
    """
    written = bundle.with_name(f"{bundle.name}.{OTHER}.json")
    command = [str(python), "-m", "edge_runtime.cli.bundle", "selftest", str(bundle.resolve()), "--json", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=bundle.parent, check=False)
    if not written.is_file():
        raise ExportError(
            f"{python}: found no self-test there ({done.stderr.strip()[-300:]}), expected an environment with this "
            "package's wheel and tflite-runtime."
        )
    certificate = from_json(Certificate, written.read_bytes(), str(written))
    for check in certificate.checks:
        if check.step is Step.LOGITS and check.runtime == OTHER:
            entry = entries[check.subject]
            yield Cell(
                network=manifest.spec.name,
                file=entry.name,
                runtime=f"{OTHER} ({'as exported' if check.passed else 'DIFFERS'})",
                how="",
                size_bytes=entry.size_bytes,
                of_float32=entry.size_bytes / float32,
                images=check.values // manifest.spec.outputs,
                logit_mean=None,
                logit_max=check.keras_difference,
            )
