"""``edge-predict``: images in, one answer each out."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime import __version__
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.cli.exit_codes import EXIT_CODES, Command, leave_with, stops_command
from edge_runtime.cli.images import named
from edge_runtime.cli.options import CommandOptions, options
from edge_runtime.cli.output import progress, require_stdout, say, tell
from edge_runtime.cli.render import Style, renderer
from edge_runtime.images.region import Marked, Region, check_asked
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor

if TYPE_CHECKING:
    from edge_runtime.cli.heatmap import DrawnExplanation
    from edge_runtime.images.left_out import LeftOut


class _Command(Command):
    """``edge-predict check FILE`` is a command of its own; an image of that name is ``./check``."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        given = sys.argv[1:] if args is None else list(args)
        if given[:1] != ["check"]:
            return super().main(given, *rest, **extra)
        from edge_runtime.cli.check import check  # here: answers are given without

        return check.main(given[1:], **{**extra, "prog_name": "edge-predict check"})


@click.command(cls=_Command, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@options
@click.version_option(__version__, prog_name="edge-predict")
def main(**given: Any) -> None:
    """Classify breast images. A folder stands for the images in it and below it, in order of their names.

    edge-predict check FILE says what a results file holds.

    Decision support for trained people, not a diagnosis and not a medical device.
    """
    request = CommandOptions(**given)
    request.check()
    with stops_command(), _load(request) as predictor:
        if request.model is None:
            _tell_default(predictor)
        _tell_known_answers(predictor)
        regions = [Region.parse(text) for text in request.regions]
        check_asked(regions[0] if regions else None, predictor.spec.region)
        if request.tiles is not None:
            from edge_runtime.cli.tiles import TileRequest, run_tiles  # here, as below: one image starts without it

            as_json = request.style == Style.JSON.value
            run_tiles(predictor, TileRequest(request.tiles, request.map_png, request.scores, as_json, request.workers))
        elif request.output is not None:
            _file(predictor, request.output, request)
        elif regions:
            _print(predictor, [Marked(request.images[0], region) for region in regions], (), request)
        else:
            asked = named(request.images)
            _print(predictor, asked.images, asked.left_out, request)


def _load(request: CommandOptions) -> Predictor:
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


def _load_anew(request: CommandOptions) -> Predictor:
    predictor = _load(request)
    _tell_known_answers(predictor)
    return predictor


def _tell_default(predictor: Predictor) -> None:
    """Say which model nobody chose: an image of another kind gets an answer from it, too."""
    spec = predictor.spec
    tell(f"no --model given: {spec.name} ({spec.summary}); edge-bundle list shows the others.")


def _tell_known_answers(predictor: Predictor) -> None:
    """Say that int8 is not trusted here; on a terminal also what the check of the first start took."""
    for precision, found in predictor.known_answers.items():
        if not found.passed:
            text = f"differ by {found.difference:.3g}, expected at most {found.tolerance:.3g}; float32 answers instead."
            tell(f"{found.file}: its answers on this machine and the known ones {text}")
        elif found.ms is not None and sys.stderr.isatty():
            kept = "once for this processor" if found.kept else "at every start: no cache can be written"
            tell(f"{precision.value} file checked against known answers in {found.ms:.0f} ms, {kept}.")


def _file(predictor: Predictor, output: Path, request: CommandOptions) -> None:
    from edge_runtime.cli.results_file import ResultsOptions, file_answers

    filing = ResultsOptions(output, request.resume, request.retry_failed, request.workers or 1)
    if request.watch is None:
        asked = named(request.images)
        file_answers(predictor, asked.images, filing, asked.left_out)
        return
    from edge_runtime.cli.current_model import CurrentModel
    from edge_runtime.cli.watch import watch_folder

    model = CurrentModel(predictor, partial(_load_anew, request), request.model or model_in_force())
    with model:
        watch_folder(model, request.watch, filing, request.interval)


def _print(
    predictor: Predictor, asked: Sequence[str | Marked | Failure], left_out: Sequence[LeftOut], request: CommandOptions
) -> None:
    """Print every answer as soon as it is there; on stderr what is left out."""
    chosen = Style(request.style) if request.style else Style.CARD if len(asked) == 1 else Style.TABLE
    render = renderer(chosen)
    if head := render.head(predictor.spec):
        say(head, render.end)
    found: Iterator[Prediction | Failure | DrawnExplanation] = predictor.predict_all(
        asked, workers=request.workers or 1
    )
    line: Callable[[Any], str] = render.line
    if request.heatmap is not None:
        from edge_runtime.cli.heatmap import HeatmapOptions

        heatmaps = HeatmapOptions(predictor, request.heatmap, request.heatmap_label, request.opacity)
        found, line = heatmaps.answers(asked), partial(heatmaps.line, render)
    failed, of_machine = _print_each(found if sys.stdout.isatty() else progress(found, len(asked)), line, render.end)
    if foot := render.foot():
        say(foot)
    missing = _tell_left_out(left_out)
    if failed:
        tell(f"{failed} of {len(asked)} failed.")
    if of_machine:
        tell(f"The machine failed at {of_machine} of them, which may be sound: ask again.")
    leave_with(failed + missing, of_machine)


def _print_each(
    found: Iterator[Prediction | Failure | DrawnExplanation], line: Callable[[Any], str], end: str
) -> tuple[int, int]:
    """Print answers as they come; return how many images failed, and at how many of them the machine did."""
    failed = of_machine = 0
    for answer in found:
        if isinstance(answer, Failure):
            failed, of_machine = failed + 1, of_machine + answer.of_machine
        say(line(answer), end)
    return failed, of_machine


def _tell_left_out(left_out: Sequence[LeftOut]) -> bool:
    """Sum up what folders hold and is not answered; tell whether an answer to any of it is expected."""
    if not left_out:
        return False
    from edge_runtime.images.left_out import expects_answer, summary

    tell(summary(left_out))
    return expects_answer(left_out)


def run() -> None:
    """Be the program ``edge-predict``.

    What its imports made lives until the end: no collection need look at it again, not even the last one at exit,
    which otherwise takes longer than answering an image.
    """
    gc.freeze()
    main()


if __name__ == "__main__":
    run()
