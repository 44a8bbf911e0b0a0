"""Measure an artifact."""

from __future__ import annotations

from pathlib import Path

import click

from training.artifact import Artifact
from training.cli.options import FOLDER
from training.cli.tables import table_of


@click.command()
@click.argument("artifact", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option(
    "--part",
    type=click.Choice(["validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Which patients; 'all' takes every patient in DATA, for data that the model never saw.",
)
@click.option("--out", type=FOLDER, help="Folder for metrics.json and report.html with curves and tables.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(artifact: Path, data: Path, part: str, out: Path | None, as_json: bool) -> None:
    """Measure ARTIFACT on held-out patients, beside the baseline of six colour numbers."""
    from training.measure import measure_artifact, to_json

    opened = Artifact(artifact)
    measurement = measure_artifact(opened, data, part)
    if out is not None:
        from training.page import write_page

        write_page(out, opened, measurement, f"python -m training evaluate {artifact} --data {data} --part {part}")
        click.echo(f"report: {out / 'report.html'}", err=True)
    if as_json:
        click.echo(to_json(measurement.evaluations))
        return
    for evaluation in measurement.evaluations:
        click.echo(table_of(evaluation))
