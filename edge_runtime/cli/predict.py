"""``edge-predict``: pictures in, one answer each out."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime import __version__
from edge_runtime.backends import Provider, Runtime
from edge_runtime.bundle.runnable import Precision
from edge_runtime.cli.faults import EXIT_CODES, EXIT_SOME_FAILED, Command, stops_command
from edge_runtime.cli.output import require_stdout, say, tell
from edge_runtime.cli.pictures import answers, named, progress
from edge_runtime.cli.render import Style, renderer
from edge_runtime.cli.request import Request, options
from edge_runtime.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor
from edge_runtime.region import Marked, Region, check_asked

if TYPE_CHECKING:
    from edge_runtime.cli.heatmap import Drawn
    from edge_runtime.left_out import LeftOut


@click.command(cls=Command, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@options
@click.version_option(__version__, prog_name="edge-predict")
def main(**given: Any) -> None:
    """Classify breast images. A folder stands for the images in it and below it, in order of their names.

    Decision support for trained people, not a diagnosis and not a medical device.
    """
    request = Request(**given)
    request.check()
    with stops_command(), _load(request) as predictor:
        if request.model is None:
            _tell_default(predictor)
        regions = [Region.parse(text) for text in request.regions]
        check_asked(regions[0] if regions else None, predictor.spec.region)
        if request.tiles is not None:
            from edge_runtime.cli.tiles import TileRequest, run_tiles  # here, as below: one picture starts without it

            as_json = request.style == Style.JSON.value
            run_tiles(predictor, TileRequest(request.tiles, request.map_png, request.scores, as_json, request.workers))
        elif request.output is not None:
            _file(predictor, request.output, request)
        elif regions:
            _print(predictor, [Marked(request.images[0], region) for region in regions], (), request)
        else:
            asked = named(request.images)
            _print(predictor, asked.images, asked.left_out, request)


def _load(request: Request) -> Predictor:
    if request.output is None:
        require_stdout()
    return Predictor.load(
        request.model,
        backend=Runtime(request.backend),
        precision=Precision(request.precision),
        threads=request.threads,
        trusted_key=request.trusted_key,
        provider=Provider(request.provider),
    )


def _tell_default(predictor: Predictor) -> None:
    """Say which model nobody chose: a picture of another kind gets an answer from it, too."""
    spec = predictor.spec
    tell(f"no --model given: {spec.name} ({spec.summary}); edge-bundle list shows the others.")


def _file(predictor: Predictor, output: Path, request: Request) -> None:
    from edge_runtime.cli.filing import Filing, file_answers

    filing = Filing(output, request.resume, request.retry_failed, request.workers or 1)
    if request.watch is None:
        asked = named(request.images)
        file_answers(predictor, asked.images, filing, asked.left_out)
        return
    from edge_runtime.cli.watching import watch_folder

    watch_folder(predictor, request.watch, filing, request.interval)


def _print(
    predictor: Predictor, asked: Sequence[str | Marked | Failure], left_out: Sequence[LeftOut], request: Request
) -> None:
    """Print every answer as soon as it is there; on stderr what is left out."""
    chosen = Style(request.style) if request.style else Style.CARD if len(asked) == 1 else Style.TABLE
    render = renderer(chosen)
    if head := render.head(predictor.spec):
        say(head, render.end)
    failed = 0
    found: Iterator[Prediction | Failure | Drawn] = answers(predictor, asked, request.workers or 1)
    line: Callable[[Any], str] = render.line
    if request.heatmap is not None:
        from edge_runtime.cli.heatmap import Heatmaps

        heatmaps = Heatmaps(predictor, request.heatmap, request.heatmap_label, request.opacity)
        found, line = heatmaps.answers(asked), partial(heatmaps.line, render)
    for answer in found if sys.stdout.isatty() else progress(found, len(asked)):
        failed += isinstance(answer, Failure)
        say(line(answer), render.end)
    if foot := render.foot():
        say(foot)
    missing = _tell_left_out(left_out)
    if failed:
        tell(f"{failed} of {len(asked)} failed.")
    if failed or missing:
        sys.exit(EXIT_SOME_FAILED)


def _tell_left_out(left_out: Sequence[LeftOut]) -> bool:
    """Sum up what folders hold and is not answered; tell whether an answer to any of it is expected."""
    if not left_out:
        return False
    from edge_runtime.left_out import expects_answer, summary

    tell(summary(left_out))
    return expects_answer(left_out)


def run() -> None:
    """Be the program ``edge-predict``.

    What its imports made lives until the end: no collection need look at it again, not even the last one at exit,
    which otherwise takes longer than answering a picture.
    """
    gc.freeze()
    main()


if __name__ == "__main__":
    run()
