"""``python -m export report``: write a bundle's parity figures as an HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.bundle.bundle import find
from training.cli.options import FOLDER


@click.command()
@click.argument("bundle", metavar="NAME|PATH")
@click.option("--out", type=FOLDER, required=True, help="HTML file to write, for example parity.html.")
def report(bundle: str, out: Path) -> None:
    """Write an HTML page about a bundle.

    It lists the files, their parity with the Keras model and the quantisation schemes tried. NAME|PATH is the bundle.
    """
    from export.validation.report import write_report  # here, so that --help does not import plotting

    write_report(find(bundle).manifest, out)
    click.echo(out)
