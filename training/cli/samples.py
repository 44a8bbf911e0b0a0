"""``samples``: choose calibration images."""

from __future__ import annotations

from pathlib import Path

import click

from training.cli.options import FOLDER


@click.command()
@click.argument("artifact", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=FOLDER, required=True, help="CSV to write, with the columns name,sha256.")
@click.option("--count", type=click.IntRange(min=16), default=256, show_default=True, help="Number of images.")
def samples(artifact: Path, data: Path, out: Path, count: int) -> None:
    """Choose images for int8 calibration.

    Training images of ARTIFACT are chosen, balanced over labels and spread over patients. Their names and SHA-256
    hashes are written to --out.
    """
    from training.fitting.calibration_samples import write_samples

    written = write_samples(artifact, data, out, count)
    click.echo(f"{written} training images named in {out}")
