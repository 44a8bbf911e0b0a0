"""``python -m export ARTIFACT --calibration DIR --out BUNDLE``: the only place in export that prints or exits."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge_runtime.errors import EdgeError
from edge_runtime.manifest import Manifest
from export.errors import ExportError
from training.artifact import Artifact
from training.errors import TrainingError

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("artifact", type=_FOLDER)
@click.option("--calibration", type=_FOLDER, required=True, help="Pictures, or a samples.csv that names them.")
@click.option(
    "--data", type=_FOLDER, help="The published data set, for samples.csv and for parity on validation patients."
)
@click.option("--out", type=_FOLDER, required=True, help="New folder for the bundle.")
def main(artifact: Path, calibration: Path, data: Path | None, out: Path) -> None:
    """Convert ARTIFACT to TFLite and ONNX, float32 and int8, and write a bundle if every file keeps parity."""
    from export.pipeline import export  # here, so that --help starts without the converters

    try:
        manifest = export(Artifact(artifact), calibration, data, out)
    except (ExportError, TrainingError, EdgeError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    click.echo(_summary(manifest, out))


def _summary(manifest: Manifest, out: Path) -> str:
    lines = [f"{out}: {manifest.spec.name} {manifest.spec.version}, contract {manifest.contract}"]
    sizes = {entry.name: entry.size_bytes for entry in manifest.files}
    for row in manifest.parity:
        lines.append(
            f"  {row.file:22} {sizes[row.file]:>10,} bytes  max |Δ logit| {row.logit_max:<9g} "
            f"flips {row.flips} of {row.images}, after the guard band {row.flips_guarded} ({row.reruns} rerun)"
        )
    lines.append(f"  guard band {manifest.guard_band:g}; {manifest.parity_source}")
    return "\n".join(lines)
