"""``audit``: find copies and leaks in a data set."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from training.cli.options import FOLDER


@click.command()
@click.argument("dataset", type=click.Choice(["breast", "busbra", "busi", "idc", "mendeley", "mias", "ultrasound"]))
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--split", type=FOLDER, help="CSV with the columns group,part or name,part.")
@click.option("--out", type=FOLDER, help="Folder for pairs.png, which shows the worst pairs. Keep it private.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def audit(dataset: str, data: Path, split: Path | None, out: Path | None, as_json: bool) -> None:
    """Find copies and leaks in a data set.

    All images of the published DATASET are compared. The report counts exact copies, near copies and contradictory
    labels. With --split, the exit status is 1 if a patient or a copy is in more than one part.
    """
    from training.data.audit.audit import audit as run_audit
    from training.data.audit.audit import to_json
    from training.data.audit.audit_image import table, worst, write_sheet

    report, pairs = run_audit(dataset, data, split)
    click.echo(to_json(report) if as_json else table(report))
    if out is not None:
        write_sheet(worst(pairs), report.labels, out / "pairs.png")
    if report.leaks:
        sys.exit(1)
