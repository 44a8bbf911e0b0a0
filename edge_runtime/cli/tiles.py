"""The option ``--tiles``: classify a slide tile by tile, and write the scores as PNG and as ``.npy``."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED
from edge_runtime.cli.output import say, tell, write_file
from edge_runtime.cli.render import FALLBACKS, SITES
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import ImageError
from edge_runtime.images.reader import read
from edge_runtime.inference.prediction import Failure
from edge_runtime.platform.escaped_names import shown
from edge_runtime.predictor import Predictor
from edge_runtime.results.lines import to_slide_line
from edge_runtime.tiling.overlay import overlay_png
from edge_runtime.tiling.slide import SlidePrediction


@dataclass(frozen=True)
class TileRequest:
    """The tile options of the command line.

    Attributes:
        map_png: file for the drawn scores.
        scores_npy: file for the scores, float32 rows×columns.
        microns_per_pixel: scale of the slide; None if it is unknown.
    """

    slide: str
    map_png: Path | None = None
    scores_npy: Path | None = None
    as_json: bool = False
    workers: int | None = None
    microns_per_pixel: float | None = None


def run_tiles(predictor: Predictor, request: TileRequest) -> None:
    """Classify the slide, write the requested files and print the result. Exit with 1 if the slide cannot be read.

    Raises:
        UsageError: a file cannot be written.
        BackendError: as in :meth:`Predictor.predict`.
    """
    try:
        image = read(request.slide, min_side_px=predictor.spec.min_side_px)
        scale = request.microns_per_pixel
        slide = predictor.predict_tiles(image, workers=request.workers, microns_per_pixel=scale)
    except ImageError as error:
        failure = Failure(request.slide, error)
        text = f"FAILED    {shown(failure.image)}\n[{error.code}] {shown(str(error))}"
        say(to_slide_line(failure) if request.as_json else text)
        sys.exit(EXIT_SOME_FAILED)
    if request.map_png is not None:
        write_file(request.map_png, overlay_png(image, slide))
    if request.scores_npy is not None:
        write_file(request.scores_npy, _npy(slide))
    say(to_slide_line(slide) if request.as_json else card(slide, predictor.spec.microns_per_pixel))
    for path in (request.map_png, request.scores_npy):
        if path is not None:
            tell(f"written: {path}")


def card(slide: SlidePrediction, expected: float | None = None) -> str:
    """Return the result as a block of lines for people.

    Args:
        expected: the scale that the model is made for, in microns per pixel; None if it has none.
    """
    grid, case = slide.grid, slide.case
    counts = ", ".join(f"{slide.count(decision)} {decision.value}" for decision in Decision)
    if slide.unfamiliar is not None:
        counts += f" ({slide.unfamiliar} of them not like the images this model was made for)"
    rows = [f"          x {t.x_px:5} y {t.y_px:5}  score {t.score:.4f}" for t in slide.positive]
    if slide.neighbours is not None:
        counts += f"; each with its neighbours, weight {slide.neighbours:g}"
    whole = f"{case.decision.value} ({case.reason.value})" if case else "none: this model's policy has no rule for it"
    return "\n".join(
        [
            f"image     {shown(slide.image)}",
            f"model     {slide.model} {slide.version} ({slide.precision}, {slide.backend})",
            *([] if slide.fallback is None else [f"          {FALLBACKS[slide.fallback]}"]),
            f"tiles     {grid.rows} rows x {grid.columns} columns of {grid.tile_width_px}x{grid.tile_height_px} px; "
            f"{grid.left_out} left out at the edges",
            *_scale(slide, expected),
            f"answers   {counts}; {len(slide.failures)} failed; {slide.reruns} decided by the float32 file",
            f"positive  {len(rows)}",
            *rows,
            f"site      {SITES[slide.site]}",
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


def _npy(slide: SlidePrediction) -> bytes:
    stream = io.BytesIO()
    np.save(stream, slide.scores, allow_pickle=False)
    return stream.getvalue()
