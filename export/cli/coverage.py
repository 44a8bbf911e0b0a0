"""``python -m export coverage``: export many kinds of networks and print which are exported, and in what formats."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from training.cli.options import FOLDER

_PYTHON = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("patterns", nargs=-1, metavar="[NAME|GROUP]...")
@click.option("--out", type=FOLDER, required=True, help="Record, JSON lines. Rows are appended and kept.")
@click.option("--again", is_flag=True, help="Measure networks again that have a row.")
@click.option("--page", "page_path", type=FOLDER, help="Markdown file to write instead of stdout.")
@click.option("--recorded", is_flag=True, help="Write the page from the record, and measure nothing.")
@click.option("--tflite-python", type=_PYTHON, help="Python of an environment with this wheel and tflite-runtime.")
@click.option(
    "--tensorflow-python",
    "writers",
    type=_PYTHON,
    multiple=True,
    help="Python of an environment with TensorFlow 2.15 or 2.20, which writes files. Repeatable.",
)
@click.option("--minutes", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Limit of one export.")
@click.option("--memory-gib", type=click.FloatRange(0.5), default=6.0, show_default=True, help="Limit of one export.")
def coverage(
    patterns: tuple[str, ...],
    out: Path,
    again: bool,
    page_path: Path | None,
    recorded: bool,
    tflite_python: Path | None,
    writers: tuple[Path, ...],
    minutes: float,
    memory_gib: float,
) -> None:
    """Export many kinds of networks and write a table.

    The networks are those of keras.applications, all activations, the layers of classifiers, and files of other
    releases. Each is exported in a process of its own. Names and groups may contain *.
    """
    from tqdm import tqdm

    from export.coverage.elsewhere import release
    from export.coverage.measure import CoverageOptions, measure
    from export.coverage.page import page
    from export.coverage.record import chosen_rows, read
    from export.coverage.row import Outcome
    from export.coverage.subjects import subjects

    chosen = list(subjects(patterns))
    if recorded:
        rows = list(chosen_rows(read(out), chosen))
    else:
        releases = {release(path): path for path in writers}
        if "" in releases:
            raise click.UsageError(
                f"{releases['']}: found no TensorFlow, expected a Python with TensorFlow 2.15 or 2.20."
            )
        options = CoverageOptions(out, again, tflite_python, releases, minutes, memory_gib)
        rows = list(tqdm(measure(chosen, options), total=len(chosen), unit="network", disable=None, leave=False))
    text = page(rows, chosen)
    if page_path is None:
        click.echo(text, nl=False)
    else:
        page_path.write_text(text, encoding="utf-8")
    if any(row.outcome is Outcome.FAULT for row in rows):
        click.echo("error: some exports ended with an error that is no sentence; see Faults in the table.", err=True)
        sys.exit(1)
