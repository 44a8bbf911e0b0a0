"""The option ``--tiles``: classify a slide tile by tile, and write its scores and tiles to files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from edge_runtime.assurance.audit.recorder import NO_RECORDER, Recorder
from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED
from edge_runtime.cli.output import require_folder, say, tell, write_file
from edge_runtime.cli.render import FALLBACKS, site_text
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import ImageError, UsageError
from edge_runtime.images.reader import DecodedImage, read
from edge_runtime.inference.prediction import Failure
from edge_runtime.platform.escaped_names import shown
from edge_runtime.predictor import Predictor
from edge_runtime.results.lines import to_slide_line
from edge_runtime.slides.recognition import is_slide
from edge_runtime.slides.slide import Slide, open_slide, package_missing
from edge_runtime.tiling.geojson import write_geojson
from edge_runtime.tiling.lazy_image import LazyImage
from edge_runtime.tiling.overlay import overlay_png
from edge_runtime.tiling.slide import SlidePrediction, SlideReading

MOST_SHOWN = 20
"""POSITIVE tiles that :func:`card` lists: a slide may have thousands."""


@dataclass(frozen=True)
class TileRequest:
    """The tile options of the command line.

    Attributes:
        map_png: file for the drawn scores.
        scores_npy: file for the scores, float32 rows×columns.
        microns_per_pixel: scale of the slide; None if it is unknown, or in the file of a whole slide.
        ome_tiff: file for the scores as a pyramid.
        geojson: file for the tiles.
        read_at: microns per pixel at which a whole slide is read, for a model without a scale.
        white_tiles: also classify tiles of empty glass.
    """

    slide: str
    map_png: Path | None = None
    scores_npy: Path | None = None
    as_json: bool = False
    workers: int | None = None
    microns_per_pixel: float | None = None
    ome_tiff: Path | None = None
    geojson: Path | None = None
    read_at: float | None = None
    white_tiles: bool = False

    @property
    def outputs(self) -> list[Path]:
        """The files to write, in the order in which they are told."""
        named = (self.map_png, self.scores_npy, self.ome_tiff, self.geojson)
        return [path for path in named if path is not None]


def run_tiles(predictor: Predictor, request: TileRequest, recorder: Recorder = NO_RECORDER) -> None:
    """Classify the slide, write the requested files and print the result.

    Exit with 1 if the slide, or a tile of a whole slide, cannot be read.

    Raises:
        UsageError: a file cannot be written, or options do not fit the slide.
        BackendError: as in :meth:`Predictor.predict`.
    """
    for path in request.outputs:  # a mistaken folder or a missing package is told before the work
        require_folder(path)
    if request.ome_tiff is not None:
        _score_map_writer()
    try:
        with _opened(predictor, request) as image:
            scale = None if isinstance(image, LazyImage) else request.microns_per_pixel
            slide = predictor.predict_tiles(image, workers=request.workers, microns_per_pixel=scale)
            if request.map_png is not None:
                write_file(request.map_png, overlay_png(image, slide))
    except ImageError as error:
        failure = Failure(request.slide, error)
        recorder.answer(failure, predictor.digest)
        text = f"FAILED    {shown(failure.image)}\n[{error.code}] {shown(str(error))}"
        say(to_slide_line(failure) if request.as_json else text)
        sys.exit(EXIT_SOME_FAILED)
    recorder.count(predictor.digest)
    if request.scores_npy is not None:
        write_file(request.scores_npy, partial(_write_npy, slide=slide))
    if request.ome_tiff is not None:
        write_file(request.ome_tiff, partial(_score_map_writer(), slide=slide))
    if request.geojson is not None:
        write_file(request.geojson, partial(write_geojson, slide=slide))
    say(to_slide_line(slide) if request.as_json else card(slide, predictor.spec.microns_per_pixel))
    for path in request.outputs:
        tell(f"written: {path}")
    if slide.reading is not None and slide.failures:
        tell(f"{len(slide.failures)} of the slide's tiles failed.")
        sys.exit(EXIT_SOME_FAILED)


def _opened(predictor: Predictor, request: TileRequest) -> AbstractContextManager[DecodedImage]:
    """Return the slide or image to classify, to be closed after it.

    Raises:
        ImageError: it cannot be read.
        UsageError: an option does not fit it, or the extra is missing.
    """
    if not is_slide(request.slide):
        if request.read_at is not None or request.white_tiles:
            raise UsageError(f"{request.slide}: found no slide file, which --read-at and --white-tiles need.")
        return nullcontext(read(request.slide, min_side_px=predictor.spec.min_side_px))
    expected = predictor.spec.microns_per_pixel
    if request.read_at is not None and expected not in (None, request.read_at):
        raise UsageError(
            f"found --read-at {request.read_at:g}, but {predictor.spec.name} is for {expected:g} microns per pixel. "
            "Leave --read-at out."
        )
    return _image_of(
        open_slide(
            request.slide,
            request.read_at or expected,
            microns_per_pixel=request.microns_per_pixel,
            white=request.white_tiles,
        )
    )


@contextmanager
def _image_of(slide: Slide) -> Iterator[DecodedImage]:
    with slide:
        yield slide.image


def _score_map_writer() -> Callable[..., None]:
    """Return the function that writes an OME-TIFF file; it needs the extra ``slides``."""
    try:
        from edge_runtime.slides.score_map import write_score_map  # imported here: the extra may be missing
    except ModuleNotFoundError as error:
        raise package_missing(error.name) from None
    return write_score_map


def card(slide: SlidePrediction, expected: float | None = None) -> str:
    """Return the result as a block of lines for people.

    Args:
        expected: the scale that the model is made for, in microns per pixel; None if it has none.
    """
    grid, case = slide.grid, slide.case
    counts = ", ".join(f"{slide.count(decision)} {decision.value}" for decision in Decision)
    if slide.unfamiliar is not None:
        counts += f" ({slide.unfamiliar} of them not like the images this model was made for)"
    rows = [
        f"          x {slide.level_0(t.x_px):5.0f} y {slide.level_0(t.y_px):5.0f}  score {t.score:.4f}"
        for t in sorted(slide.positive, key=lambda tile: -tile.score)[:MOST_SHOWN]
    ]
    hidden = len(slide.positive) - len(rows)
    if slide.neighbours is not None:
        counts += f"; each with its neighbours, weight {slide.neighbours:g}"
    whole = f"{case.decision.value} ({case.reason.value})" if case else "none: this model's policy has no rule for it"
    return "\n".join(
        [
            f"image     {shown(slide.image)}",
            f"model     {slide.model} {slide.version} ({slide.precision}, {slide.backend})",
            *([] if slide.fallback is None else [f"          {FALLBACKS[slide.fallback]}"]),
            f"tiles     {grid.rows} rows x {grid.columns} columns of {grid.tile_width_px}x{grid.tile_height_px} px; "
            f"{grid.left_out} left out at the edges{_white(slide)}",
            *(_scale(slide, expected) if slide.reading is None else _reading(slide.reading)),
            f"answers   {counts}; {len(slide.failures)} failed; {slide.reruns} decided by the float32 file",
            *_failed(slide),
            f"positive  {len(slide.positive)}{'; those with the highest scores:' if hidden else ''}",
            *rows,
            *([f"          and {hidden} more, which --json and --geojson list"] if hidden else []),
            f"site      {site_text(slide.site_policy)}",
            f"decision  {whole}",
        ]
    )


def _scale(slide: SlidePrediction, expected: float | None) -> list[str]:
    """Return the line about the scale; none for a model without one."""
    if expected is None:
        return []
    if slide.microns_per_pixel is None:
        return [f"scale     unknown; the model is for {expected:g} microns per pixel (--microns-per-pixel states it)"]
    return [f"scale     {slide.microns_per_pixel:g} microns per pixel as stated, {expected:g} expected"]


def _white(slide: SlidePrediction) -> str:
    return "" if slide.white is None else f", {slide.white} of empty glass"


def _reading(reading: SlideReading) -> list[str]:
    """Return the lines about the scale of a whole slide."""
    source = "as stated" if reading.stated else "by the file"
    average = "as it is" if reading.factor_256 == 256 else f"averaged over {reading.factor_256 / 256:g} px"
    return [
        f"scale     {reading.level_0_microns:g} microns per pixel {source}; read at {reading.microns_per_pixel:.4g}: "
        f"level {reading.level} {average}",
        *([] if reading.exact else ["          the reader interpolates between pixels of this level"]),
        f"places    pixels of the finest level; a pixel of a tile is {float(reading.level_0_px):g} of them",
    ]


def _failed(slide: SlidePrediction) -> list[str]:
    """Return a line for each tile of a whole slide that failed; of other images they are counted alone."""
    if slide.reading is None:
        return []
    return [
        f"FAILED    x {slide.level_0(f.x_px):5.0f} y {slide.level_0(f.y_px):5.0f}  [{f.error.code}]"
        for f in slide.failures
    ]


def _write_npy(path: Path, slide: SlidePrediction) -> None:
    with path.open("wb") as file:
        np.save(file, slide.scores, allow_pickle=False)
