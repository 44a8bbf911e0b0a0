"""``phantoms``: write synthetic patches."""

from __future__ import annotations

from pathlib import Path

import click

from training.cli.options import FOLDER
from training.data.datasets.phantoms import PhantomSet
from training.data.datasets.phantoms import write as write_phantoms


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder to write the published layout into.")
@click.option("--patients", type=click.IntRange(min=3), default=40, show_default=True, help="Number of patients.")
@click.option("--patches", type=click.IntRange(min=2), default=24, show_default=True, help="Patches per patient.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random numbers.")
def phantoms(out: Path, patients: int, patches: int, seed: int) -> None:
    """Write synthetic H&E patches.

    The patches have the layout of the IDC data set. They test the software and have no medical meaning.
    """
    count = write_phantoms(PhantomSet(patients=patients, patches_per_patient=patches, seed=seed), out)
    click.echo(f"{count} phantoms of {patients} made-up patients in {out}")
