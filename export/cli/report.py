"""What a bundle proves, as a page."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.bundle.bundle import find
from training.cli.options import FOLDER


@click.command()
@click.argument("bundle", metavar="NAME|PATH")
@click.option("--out", type=FOLDER, required=True, help="The page, for example parity.html.")
def report(bundle: str, out: Path) -> None:
    """Write one HTML page about BUNDLE: its files, parity with the Keras model, and the ways of quantising tried."""
    from export.validation.report import write_report  # here, so that --help draws nothing

    write_report(find(bundle).manifest, out)
    click.echo(out)
