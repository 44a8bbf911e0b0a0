"""The command ``edge-predict``: one result per image."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.assurance.audit.recorder import Recorder
from edge_runtime.bundle.registry.default_model import model_in_force
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.cli.exit_codes import EXIT_CODES, Command, leave_with, stops_command
from edge_runtime.cli.images import named
from edge_runtime.cli.options import CommandOptions, options
from edge_runtime.cli.output import progress, require_stdout, say, shows_progress, tell
from edge_runtime.cli.parameters import HELP, version_option
from edge_runtime.cli.recording import recording
from edge_runtime.cli.render import Style, renderer
from edge_runtime.cli.start import run  # noqa: F401  # the entry point in programs that older releases installed
from edge_runtime.images.region import Marked, Region, check_asked
from edge_runtime.images.scale import check_scale
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.cli.heatmap import DrawnExplanation
    from edge_runtime.dicom.study import StudyItem
    from edge_runtime.dicom.watched_study import WatchedStudy
    from edge_runtime.images.left_out import LeftOut


class _Command(Command):
    """Runs ``edge-predict check``, ``accept``, ``drift`` and ``archive`` as separate commands.

    Name an image called ``check``, ``accept`` or ``drift`` as ``./check``. A file or folder called ``archive`` is still
    predicted, unless one of the commands of ``edge-predict archive`` follows.
    """

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        given = sys.argv[1:] if args is None else list(args)
        command = _separate_command(given)
        if command is None:
            return super().main(given, *rest, **extra)
        return command.main(given[1:], **{**extra, "prog_name": f"edge-predict {given[0]}"})

    def get_help_option(self, _context: click.Context) -> click.Option:
        return HELP


def _separate_command(given: Sequence[str]) -> click.Command | None:
    """Return the command that the first argument names; imported here, as predictions need none of them."""
    first = given[0] if given else None
    if first == "drift":
        from edge_runtime.cli.drift import command as drift

        return drift
    if first == "check":
        from edge_runtime.cli.check import check

        return check
    if first == "accept":
        from edge_runtime.cli.accept import command as accept

        return accept
    if first == "archive":
        from edge_runtime.cli.archive import main as archive

        if set(given[1:2]) & {*archive.commands, "-h", "--help"} or not os.path.lexists(first):
            return archive
    return None


@click.command(cls=_Command, epilog=EXIT_CODES, context_settings={"help_option_names": HELP.opts})
@options
@version_option("edge-predict")
def main(**given: Any) -> None:
    """Classify breast images.

    A folder means all images in it and in its subfolders, sorted by name. Models that state it also take DICOM files
    and zipped studies.

    The command "edge-predict check FILE" summarises a results file. "edge-predict accept" accepts a model for a site.
    "edge-predict drift" says whether its answers have moved since. "edge-predict archive" scores archives on one
    machine or many.

    Decision support for trained people, not a diagnosis and not a medical device.
    """
    request = CommandOptions(**given)
    request.check()
    with stops_command(), _recording(request) as recorder, _load(request) as predictor:
        recorder.admit(predictor)
        if request.model is None:
            _tell_default(predictor)
        if request.tiles is None:  # the result for a slide tells its scale
            _check_scale(predictor, request.microns_per_pixel)
        _tell_known_answers(predictor)
        regions = [Region.parse(text) for text in request.regions]
        if regions or predictor.spec.dicom is None or request.tiles:  # a study may bring its circle
            check_asked(regions[0] if regions else None, predictor.spec.region)
        if request.tiles is not None:
            from edge_runtime.cli.tiles import TileRequest, run_tiles  # imported here, as below: one image needs none

            as_json = request.style == Style.JSON.value
            run_tiles(
                predictor,
                TileRequest(
                    request.tiles,
                    request.map_png,
                    request.scores,
                    as_json,
                    request.workers,
                    request.microns_per_pixel,
                    request.ome_tiff,
                    request.geojson,
                    request.read_at,
                    request.white_tiles,
                ),
                recorder,
            )
        elif request.output is not None:
            _file(predictor, request.output, request, recorder)
        elif regions:
            _print(predictor, [Marked(_framed(request), region) for region in regions], (), request, recorder)
        elif request.frame is not None:
            _print(predictor, [_framed(request)], (), request, recorder)
        else:
            inputs = named(request.images, predictor.spec)
            _print(predictor, inputs.images, inputs.left_out, request, recorder)


def _framed(request: CommandOptions) -> str | StudyItem:
    """Return the one image, with its frame if the command names one."""
    (image,) = request.images
    if request.frame is None:
        return image
    from edge_runtime.bundle.dicom_input import FrameChoice
    from edge_runtime.dicom.study import StudyItem

    all_frames = request.frame == FrameChoice.ALL.value
    return StudyItem(image, image, FrameChoice.ALL if all_frames else int(request.frame))


def _recording(request: CommandOptions) -> AbstractContextManager[Recorder]:
    name = "edge-predict --watch" if request.watch else "edge-predict"
    return recording(name, request.audit, request.audit_period, request.audit_key)


def _load(request: CommandOptions) -> Predictor:
    if request.output is None:
        require_stdout()
    return _kind(request).load(
        request.model,
        backend=Runtime(request.backend),
        precision=Precision(request.precision),
        threads=request.threads,
        trusted_key=request.trusted_key,
        provider=Provider(request.provider),
        site_policy=request.site_policy,
    )


def _kind(request: CommandOptions) -> type[Predictor]:
    if not request.statistics:
        return Predictor
    from edge_runtime.assurance.measuring_predictor import MeasuringPredictor  # imported here: few runs need it

    return MeasuringPredictor


def _reload(request: CommandOptions) -> Predictor:
    predictor = _load(request)
    _tell_known_answers(predictor)
    return predictor


def _tell_default(predictor: Predictor) -> None:
    """Name the default model on stderr: it also gives a result for images that it was not trained for."""
    spec = predictor.spec
    tell(f"no --model given: using {spec.name} ({spec.summary}). edge-bundle list shows the others.")


def _check_scale(predictor: Predictor, stated: float | None) -> None:
    """Check the scale of all images; if it is not stated and the model depends on it, note that on stderr.

    Raises:
        ImageScaleError, UsageError: as in :func:`check_scale`.
    """
    spec = predictor.spec
    if stated is not None:
        check_scale("the images", stated, spec.microns_per_pixel, spec.name)
    elif spec.microns_per_pixel is not None:
        expected = f"{spec.microns_per_pixel:g} microns per pixel"
        tell(f"scale unknown: {spec.name} is for {expected}. --microns-per-pixel states it.")


def _tell_known_answers(predictor: Predictor) -> None:
    """Report a fallback to float32 on stderr; on a terminal also the duration of the check."""
    for precision, answers in predictor.known_answers.items():
        if not answers.passed:
            tell(
                f"{answers.file}: its logits on this machine differ from the known ones by {answers.difference:.3g}, "
                f"expected at most {answers.tolerance:.3g}. Using float32 instead."
            )
        elif answers.ms is not None and sys.stderr.isatty():
            kept = "once for this processor" if answers.kept else "at every start: no cache can be written"
            tell(f"{precision.value} file checked against known answers in {answers.ms:.0f} ms, {kept}.")


def _file(predictor: Predictor, output: Path, request: CommandOptions, recorder: Recorder) -> None:
    from edge_runtime.cli.results_file import ResultsOptions, file_answers

    filing = ResultsOptions(output, request.resume, request.retry_failed, request.workers or 1)
    if request.watch is None:
        inputs = named(request.images, predictor.spec)
        file_answers(predictor, tuple(inputs.images), filing, inputs.left_out, recorder)
        return
    from edge_runtime.cli.current_model import CurrentModel
    from edge_runtime.cli.watch import watch_folder

    model = CurrentModel(predictor, partial(_reload, request), request.model or model_in_force(), request.site_policy)
    with model:
        watch_folder(model, request.watch, filing, request.interval, recorder, _study(predictor, request))


def _study(predictor: Predictor, request: CommandOptions) -> WatchedStudy | None:
    """Return what pairs the DICOM files of a watched folder, for a model that accepts some."""
    if predictor.spec.dicom is None:
        return None
    from edge_runtime.dicom.watched_study import WatchedStudy  # imported here: other models need none

    return WatchedStudy(all_frames=request.frame is not None, mark_wait_s=request.mark_hours * 3600)


def _print(
    predictor: Predictor,
    images: Iterable[str | StudyItem | Marked | Failure],
    left_out: Sequence[LeftOut],
    request: CommandOptions,
    recorder: Recorder,
) -> None:
    """Print each result as soon as it is computed, and list the files that are left out on stderr.

    A progress bar and heatmaps need the number of images. Otherwise folders are listed while images are classified.
    """
    has_bar = shows_progress() and not sys.stdout.isatty()
    listed = tuple(images) if request.heatmap is not None or has_bar else None
    source = iter(images if listed is None else listed)
    first = tuple(islice(source, 2))
    images = chain(first, source)
    chosen = Style(request.style) if request.style else Style.CARD if len(first) == 1 else Style.TABLE
    render = renderer(chosen)
    if head := render.head(predictor.spec, predictor.site_policy):
        say(head, render.end)
    results: Iterator[Prediction | Failure | DrawnExplanation] = predictor.predict_all(
        images, workers=request.workers or 1, processes=True
    )
    line: Callable[[Any], str] = render.line
    if request.heatmap is not None and listed is not None:
        from edge_runtime.cli.heatmap import HeatmapOptions

        heatmaps = HeatmapOptions(predictor, request.heatmap, request.heatmap_label, request.opacity)
        results, line = heatmaps.answers(listed), partial(heatmaps.line, render)
    results = recorder.through(results, _counted, predictor.digest)
    if listed is not None and has_bar:
        results = progress(results, len(listed))
    count, failed, of_machine = _print_each(results, line, render.end)
    if foot := render.foot():
        say(foot)
    missing = _tell_left_out(left_out)
    if failed:
        tell(f"{failed} of {count} failed.")
    if of_machine:
        tell(f"{of_machine} of them failed because of this machine; the images may be sound. Run the command again.")
    leave_with(failed + missing, of_machine)


def _counted(result: Prediction | Failure | DrawnExplanation) -> Prediction | Failure:
    return result if isinstance(result, Prediction | Failure) else result.explanation.prediction


def _print_each(
    results: Iterator[Prediction | Failure | DrawnExplanation], line: Callable[[Any], str], end: str
) -> tuple[int, int, int]:
    """Print each result. Return the number of images, of failed ones, and how many of these the machine caused."""
    count = failed = of_machine = 0
    for count, answer in enumerate(results, start=1):  # noqa: B007 - the last one
        if isinstance(answer, Failure):
            failed, of_machine = failed + 1, of_machine + answer.of_machine
        say(line(answer), end)
    return count, failed, of_machine


def _tell_left_out(left_out: Sequence[LeftOut]) -> bool:
    """Report the left-out files on stderr. Return whether a result is expected for any of them."""
    if not left_out:
        return False
    from edge_runtime.images.left_out import expects_answer, summary

    tell(summary(left_out))
    return expects_answer(left_out)


if __name__ == "__main__":
    main()
