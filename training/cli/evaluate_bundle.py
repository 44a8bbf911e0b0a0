"""The part of ``evaluate`` that measures a bundle on the device's runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime import Precision, Runtime
from edge_runtime.bundle.bundle import MANIFEST, find, shipped
from edge_runtime.bundle.registry.pointers import current_folder
from training.artifact import Artifact
from training.cli.tables import figure_row, site_table, table_of

if TYPE_CHECKING:
    from training.evaluation.measure_bundle import BundleDocument


def is_bundle(target: str) -> bool:
    """Return whether ``target`` is a bundle: a folder with a manifest, a zip, a model file, or the name of a model.

    A folder without a manifest is never a bundle, even if it has the name of a model.
    """
    path = Path(target)
    if path.is_dir():
        return (path / MANIFEST).is_file()
    return path.suffix in (".zip", ".tflite", ".onnx") or target in shipped() or current_folder(target) is not None


def evaluate_bundle(
    target: str,
    data: Path,
    part: str,
    out: Path | None,
    strict: bool,
    as_json: bool,
    artifact: Path | None,
    precision: str | None,
    backend: str | None,
) -> None:
    """Measure a bundle and print the figures; the arguments are those of the command line."""
    from training.evaluation.measure_bundle import BundleRun, measure_bundle, to_json

    device = BundleRun(find(target), Runtime(backend or "auto"), Precision(precision or "int8"))
    beside = None if artifact is None else Artifact(artifact)
    measurement = measure_bundle(device, data, part, artifact=beside, strict=strict)
    if out is not None:
        from training.reporting.device_page import write_device_page

        given = {"artifact": artifact, "precision": precision, "backend": backend, "out": out}
        options = "".join(f" --{name} {value}" for name, value in given.items() if value is not None)
        tail = " --strict" if strict else ""
        write_device_page(
            out, measurement, f"python -m training evaluate {target} --data {data} --part {part}{tail}{options}"
        )
        click.echo(f"report: {out / 'report.html'}", err=True)
    click.echo(to_json(measurement) if as_json else _text(measurement.document))


def _text(document: BundleDocument) -> str:
    lines = [f"{document.model} {document.version}, {document.precision} on {document.backend}"]
    lines += [] if document.sites is None else [site_table(document.sites)]
    lines += [table_of(evaluation, document.grouped_by) for evaluation in document.evaluations]
    lines += ["decisions and their reasons, shares of all images", *map(figure_row, document.shares)]
    if document.changes:
        lines += ["the bundle less its Keras model, paired", *map(figure_row, document.changes)]
    return "\n".join(lines)
