"""``python -m export benchmark``: measure time, file size and memory of a bundle's model files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_runtime.bundle.bundle import find
from edge_runtime.serialisation.records import to_dict
from training.artifact import Artifact
from training.cli.options import FOLDER


@click.command()
@click.argument("bundle")
@click.option("--artifact", type=FOLDER, help="Training artifact of the bundle. Adds rows for Keras.")
@click.option("--model", type=FOLDER, help="Keras model of the bundle, instead of --artifact.")
@click.option(
    "--images", type=click.IntRange(1), default=20, show_default=True, help="Images that each row runs in a round."
)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True, help="Timing rounds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", "as_md", is_flag=True, help="Print a Markdown table.")
def benchmark(
    bundle: str, artifact: Path | None, model: Path | None, images: int, rounds: int, as_json: bool, as_md: bool
) -> None:
    """Compare the model files of a bundle.

    The table gives time, file size and memory. BUNDLE is a name, a folder or a zip file. The method is described in
    docs/research/benchmark.md.
    """
    from export.benchmark.benchmark import benchmark as measure  # here, so that --help starts without the converters
    from export.benchmark.table import as_markdown, as_text

    if artifact is not None and model is not None:
        raise click.UsageError("--artifact and --model exclude each other. An artifact contains its model.")
    if as_json and as_md:
        raise click.UsageError("--json and --markdown exclude each other.")
    report = measure(find(bundle), Artifact(artifact).model_path if artifact is not None else model, images, rounds)
    if as_json:
        click.echo(json.dumps(to_dict(report), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        click.echo(as_markdown(report) if as_md else as_text(report))
