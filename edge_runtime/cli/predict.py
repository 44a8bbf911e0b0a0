"""``edge-predict``: pictures in, one answer each out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge_runtime import __version__
from edge_runtime.backends import Runtime
from edge_runtime.cli.faults import EXIT_CODES, EXIT_SOME_FAILED, stops_command
from edge_runtime.cli.output import say
from edge_runtime.cli.pictures import answers, pictures, progress
from edge_runtime.cli.render import Style, renderer
from edge_runtime.manifest import Precision
from edge_runtime.prediction import Failure
from edge_runtime.predictor import DEFAULT_MODEL, Predictor

_FILE = click.Path(path_type=Path)


@click.command(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("images", nargs=-1, metavar="IMAGE_OR_FOLDER...")
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
@click.option("--output", type=_FILE, metavar="FILE", help="Write JSON lines to FILE, each safe on disk at once.")
@click.option("--resume", is_flag=True, help="Go on with FILE: what it holds is not answered again.")
@click.option("--retry-failed", is_flag=True, help="Answer the pictures again that have failed in FILE.")
@click.option("--watch", type=_FILE, metavar="FOLDER", help="Answer FOLDER's pictures into FILE as they come.")
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks of --watch; a picture that is the same in both is taken.",
)
@click.version_option(__version__, prog_name="edge-predict")
def main(
    images: tuple[str, ...],
    model: str,
    backend: str,
    precision: str,
    style: str | None,
    threads: int,
    output: Path | None,
    resume: bool,
    retry_failed: bool,
    watch: Path | None,
    interval: float,
) -> None:
    """Classify breast images. A folder stands for the pictures in it and below it, in order of their names.

    Decision support for trained people, not a diagnosis and not a medical device.
    """
    _check(images, style, output, resume, retry_failed, watch)
    with stops_command():
        loaded = Predictor.load(model, backend=Runtime(backend), precision=Precision(precision), threads=threads)
        with loaded as predictor:
            if output is None:
                _print(predictor, list(pictures(images)), style)
                return
            from edge_runtime.cli.filing import Filing, file_answers  # here: a single picture starts without it

            filing = Filing(output, resume, retry_failed)
            if watch is None:
                file_answers(predictor, list(pictures(images)), filing)
                return
            from edge_runtime.cli.watching import watch_folder

            watch_folder(predictor, watch, filing, interval)


def _check(
    images: tuple[str, ...],
    style: str | None,
    output: Path | None,
    resume: bool,
    retry_failed: bool,
    watch: Path | None,
) -> None:
    """Refuse options that contradict each other."""
    if not images and watch is None:
        raise click.UsageError("Missing argument 'IMAGE_OR_FOLDER...'.")
    if images and watch is not None:
        raise click.UsageError("--watch FOLDER takes no other pictures.")
    if output is None and (resume or retry_failed or watch is not None):
        raise click.UsageError("--resume, --retry-failed and --watch need --output FILE.")
    if retry_failed and not resume and watch is None:
        raise click.UsageError("--retry-failed needs --resume.")
    if output is not None and style == Style.CSV.value:
        raise click.UsageError("a results file holds JSON lines; leave out --csv.")


def _print(predictor: Predictor, paths: list[str | Failure], style: str | None) -> None:
    """Print every answer as soon as it is there."""
    chosen = Style(style) if style else Style.CARD if len(paths) == 1 else Style.TABLE
    render = renderer(chosen)
    if head := render.head(predictor.spec):
        say(head)
    found, failed = answers(predictor, paths), 0
    for answer in found if sys.stdout.isatty() else progress(found, len(paths)):
        failed += isinstance(answer, Failure)
        say(render.line(answer))
    if foot := render.foot():
        say(foot)
    if failed:
        click.echo(f"{failed} of {len(paths)} failed.", err=True)
        sys.exit(EXIT_SOME_FAILED)


if __name__ == "__main__":
    main()
