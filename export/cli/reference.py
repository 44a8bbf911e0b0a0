"""``python -m export reference``: add the reference distribution, against which drift is measured, to a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from training.artifact import Artifact
from training.cli.options import FOLDER


@click.command()
@click.argument("bundle", type=FOLDER)
@click.option("--artifact", type=FOLDER, required=True, help="The training artifact that the bundle was exported from.")
@click.option("--data", type=FOLDER, required=True, help="The published data set.")
def reference(bundle: Path, artifact: Path, data: Path) -> None:
    """Add the reference distribution to BUNDLE, a folder.

    The exported int8 file answers the images of the validation patients. Only bundle.json and the model card change,
    so a signed bundle must be signed again.
    """
    from edge_runtime.bundle.bundle import find  # here, so that --help starts without the interpreters
    from export.reference import add_reference, check_exported_from, validation_of

    source = Artifact(artifact)
    check_exported_from(find(bundle), source)
    validation = validation_of(source, data)
    found = None if validation is None else add_reference(bundle, validation).reference_distribution
    if found is not None:
        click.echo(f"{bundle}: reference of {found.patients} {found.grouped_by}, {found.images} images")
        for quantity in found.quantities:
            known = "" if quantity.correlation is None else f"correlation {quantity.correlation:.2f}, "
            click.echo(f"  {quantity.name:20} {known}design effect {quantity.design_effect:.2f}")
        for rate in found.rates:
            click.echo(f"  {rate.name:20} {rate.count} of {rate.images}, design effect {rate.design_effect:.2f}")
