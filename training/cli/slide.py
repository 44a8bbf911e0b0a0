"""``slide``: draw one patient's slide beside its score map."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.platform.atomic_files import write_whole
from training.artifact import Artifact
from training.cli.options import FOLDER


@click.command()
@click.argument("artifact", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--patient", required=True, help="Name of the patient in the data set.")
@click.option("--out", type=FOLDER, required=True, help="PNG to write; an existing file is replaced.")
@click.option("--strict", is_flag=True, help="Stop at a patch that cannot be read, instead of skipping it.")
def slide(artifact: Path, data: Path, patient: str, out: Path, strict: bool) -> None:
    """Draw one patient's slide and score map.

    The slide is assembled from the patient's patches. ARTIFACT computes a score for each patch and a decision on the
    patient.
    """
    if out.suffix.lower() != ".png":
        raise click.BadParameter(f"found {out.name}, expected a name that ends in .png.", param_hint="--out")
    from training.reporting.patient import judge_patient

    found = judge_patient(Artifact(artifact), data, patient, strict=strict)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, lambda part: part.write_bytes(found.png))
    for line in (found.origin, found.basis, f"slide: {out}"):
        click.echo(line, err=True)
    click.echo(found.line)
