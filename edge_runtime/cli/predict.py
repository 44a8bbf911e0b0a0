"""``edge-predict``: pictures in, one answer each out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from edge_runtime import __version__
from edge_runtime.backends import Runtime
from edge_runtime.cli.faults import EXIT_CODES, EXIT_SOME_FAILED, stops_command
from edge_runtime.cli.output import say
from edge_runtime.cli.render import Style, renderer
from edge_runtime.errors import ImageNotFoundError
from edge_runtime.folders import PICTURE_SUFFIXES, pictures_below
from edge_runtime.manifest import Precision
from edge_runtime.prediction import Failure, Prediction
from edge_runtime.predictor import DEFAULT_MODEL, Predictor


@click.command(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("images", nargs=-1, required=True, metavar="IMAGE_OR_FOLDER...")
@click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME|PATH", help="A model that ships, or a bundle."
)
@click.option(
    "--backend",
    type=click.Choice([runtime.value for runtime in Runtime]),
    default=Runtime.AUTO.value,
    show_default=True,
    help="The interpreter.",
)
@click.option(
    "--precision",
    type=click.Choice([precision.value for precision in Precision]),
    default=Precision.INT8.value,
    show_default=True,
    help="Which of the bundle's files runs first.",
)
@click.option("--json", "style", flag_value=Style.JSON.value, help="One JSON object a line.")
@click.option("--csv", "style", flag_value=Style.CSV.value, help="CSV with a header line.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Interpreter threads.")
@click.version_option(__version__, prog_name="edge-predict")
def main(images: tuple[str, ...], model: str, backend: str, precision: str, style: str | None, threads: int) -> None:
    """Classify breast images. A folder stands for the pictures in it and below it, in order of their names.

    Decision support for trained people, not a diagnosis and not a medical device.
    """
    with stops_command():
        loaded = Predictor.load(model, backend=Runtime(backend), precision=Precision(precision), threads=threads)
        with loaded as predictor:
            paths = list(_pictures(images))
            failed = _report(predictor, paths, _style(style, paths))
    if failed:
        click.echo(f"{failed} of {len(paths)} failed.", err=True)
        sys.exit(EXIT_SOME_FAILED)


def _style(style: str | None, paths: list[str | Failure]) -> Style:
    if style is not None:
        return Style(style)
    return Style.CARD if len(paths) == 1 else Style.TABLE


def _pictures(images: Iterable[str]) -> Iterator[str | Failure]:
    """Yield each path; a folder yields its pictures, or one failure if it has none."""
    for image in images:
        if not os.path.isdir(image):
            yield image
            continue
        found = pictures_below(Path(image))
        yield from map(str, found)
        if not found:
            endings = " ".join(sorted(PICTURE_SUFFIXES))
            message = f"{image}: found a folder without pictures, expected files ending in {endings}."
            yield Failure(image, ImageNotFoundError(message, code="folder_without_images"))


def _report(predictor: Predictor, paths: list[str | Failure], style: Style) -> int:
    """Print every answer as soon as it is there; return how many pictures failed."""
    render = renderer(style)
    if head := render.head(predictor.spec):
        say(head)
    failed = 0
    for answer in _progress(_answers(predictor, paths), len(paths)):
        failed += isinstance(answer, Failure)
        say(render.line(answer))
    if foot := render.foot():
        say(foot)
    return failed


def _progress(answers: Iterator[Prediction | Failure], count: int) -> Iterator[Prediction | Failure]:
    """Pass answers on, with a bar where someone waits and the answers themselves go elsewhere."""
    if count < 2 or sys.stdout.isatty() or not sys.stderr.isatty():
        yield from answers
        return
    with click.progressbar(answers, length=count, label="answering", file=sys.stderr) as bar:
        yield from bar


def _answers(predictor: Predictor, paths: list[str | Failure]) -> Iterator[Prediction | Failure]:
    for path in paths:
        if isinstance(path, Failure):
            yield path
        else:
            yield from predictor.predict_all([path])


if __name__ == "__main__":
    main()
