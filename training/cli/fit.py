"""``fit``: fit a recipe and write an artifact."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from training.artifact import Artifact
from training.cli.options import FOLDER
from training.cli.tables import table_of
from training.recipes import find_recipe

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 plus the number of SIGINT, as in shells."""


@click.command()
@click.argument("recipe")
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=FOLDER, required=True, help="New folder for the artifact.")
@click.option("--epochs", type=click.IntRange(min=1), help="Number of epochs, if fewer than in the recipe.")
@click.option(
    "--weights",
    metavar="imagenet|PATH",
    help="Pretrained backbone of a transfer recipe. The default is random weights.",
)
@click.option(
    "--teacher",
    "teachers",
    type=FOLDER,
    multiple=True,
    metavar="ARTIFACT",
    help="Artifact that a distilled recipe learns from. Repeat it for the mean of several.",
)
@click.option("--resume", is_flag=True, help="Continue the interrupted fit in --out after its last whole epoch.")
@click.option("--strict", is_flag=True, help="Stop at an image that cannot be read, instead of skipping it.")
def fit(
    recipe: str,
    data: Path,
    out: Path,
    epochs: int | None,
    weights: str | None,
    teachers: tuple[Path, ...],
    resume: bool,
    strict: bool,
) -> None:
    """Fit RECIPE and write an artifact.

    The artifact is a folder with model.keras, spec.json, split.csv, history.csv and metrics.json.
    """
    chosen = find_recipe(recipe)
    try:
        from training.fitting.fit import fit as run_fit  # here, so that other commands do not load a framework

        with _log_to_stderr():
            artifact = run_fit(
                chosen, data, out, epochs=epochs, weights=weights, resume=resume, strict=strict, teachers=teachers
            )
    except KeyboardInterrupt:
        click.echo(_after_interruption(Artifact(out)), err=True)
        sys.exit(INTERRUPTED)
    for evaluation in artifact.measured().evaluations:
        click.echo(table_of(evaluation))
    click.echo(f"artifact: {artifact.folder}")


def _after_interruption(artifact: Artifact) -> str:
    if artifact.interrupted:
        return "interrupted; the same command with --resume continues after the last whole epoch."
    return "interrupted before the fit began; run the same command again."


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Print the log messages of training, from level INFO on, as plain lines on stderr."""
    logger, handler = logging.getLogger("training"), logging.StreamHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
