"""``localise``: measure whether heatmaps point at lesions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.serialisation.records import to_dict
from training.artifact import Artifact
from training.cli.options import FOLDER
from training.data.splits import Part

if TYPE_CHECKING:
    from edge_runtime.bundle.metrics import Localisation


@click.command()
@click.argument("artifact", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option(
    "--part",
    type=click.Choice([part.value for part in Part]),
    default=Part.TEST.value,
    show_default=True,
    help="Patients to measure on.",
)
@click.option("--keep", "kept", is_flag=True, help="Write the figures into ARTIFACT, for its bundle and model card.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def localise(artifact: Path, data: Path, part: str, kept: bool, as_json: bool) -> None:
    """Measure whether heatmaps find lesions.

    Count how often the heatmaps of ARTIFACT point at marked lesions. The baselines are the centre of the image and
    its brightest region.
    """
    from training.evaluation.localise import keep
    from training.evaluation.localise import localise as measure

    found = measure(Artifact(artifact), data, Part(part))
    if kept:
        keep(Artifact(artifact), found)
    click.echo(json.dumps(to_dict(found)) if as_json else _text(found))


def _text(found: Localisation) -> str:
    head = f"{found.method} on {found.images} {found.part} images with a marked lesion, {found.groups} groups"
    return "\n".join([head, *(f"  {figure.name:34} {figure.text()}" for figure in found.figures)])
