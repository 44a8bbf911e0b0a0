"""Classify a slide tile by tile, with one thread per engine. Tiles have the size that the spec says.

The grid starts at the upper left corner. A tile that would cross the right or lower edge is left out and counted,
because padding or stretching would show the model tissue that does not exist. All other tiles are classified,
including empty glass; only of a whole slide (:mod:`edge_runtime.slides`) are white tiles left out and counted.

If the policy has no ``neighbours``, or the tiles do not touch, each tile gets the result that
:meth:`Predictor.predict` returns for its pixels. Otherwise a tile's result comes from the weighted mean of its logits
and those of the adjacent tiles (:mod:`edge_runtime.tiling.smoothing`). Tiles that failed, or that did not pass the
out-of-distribution check, are excluded from all means. The guard band then applies to the mean. Where the mean of the
first model file lies near a threshold, the float32 file runs on the tile and its neighbours, and its mean decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.case import decide_case
from edge_runtime.decision.rule import decide, near_threshold
from edge_runtime.decision.scores import positive_scores, scores_of
from edge_runtime.errors import ImageSizeError, UsageError
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.engine import Engine, Plan
from edge_runtime.inference.ordered_map import in_order
from edge_runtime.inference.prediction import Timing
from edge_runtime.ood.detector import is_familiar
from edge_runtime.preprocessing.steps import CentreCrop, Letterbox, Pad, covered
from edge_runtime.tiling.batch import Batch, answer_batch, batches_of, by_squares, exact_batch, in_rows, joined
from edge_runtime.tiling.lazy_image import LazyImage
from edge_runtime.tiling.slide import Grid, SlidePrediction, SlideReading, Tile
from edge_runtime.tiling.smoothing import averaged_at, widened

_SQUARE_PX = 1024
"""Side of the squares of a level whose tiles are classified together."""

Result = TypeVar("Result")


def grid_of(image: DecodedImage, spec: ModelSpec, stride_px: int | None = None) -> Grid:
    """Return the tile grid of an image. Tiles have the spec's ``tile_px``, or else the size of the network's input.

    Raises:
        UsageError: ``stride_px`` is less than 1, or the spec's steps cut a tile's border off or add one to it.
        ImageSizeError: ``image_too_small``: the image is smaller than one tile.
    """
    if stride_px is not None and stride_px < 1:
        raise UsageError(f"found a stride of {stride_px} px, expected 1 or more. Pass a larger number.")
    _check_steps(spec)
    (width, height), (high, wide) = spec.tile_size_px, image.pixels.shape[:2]
    if wide < width or high < height:
        raise ImageSizeError(
            f"{image.name}: found {wide}x{high} px, expected at least one tile of {width}x{height} px. "
            "Classify the image as a whole, without tiles.",
            code="image_too_small",
        )
    across, down = stride_px or width, stride_px or height
    columns, rows = (wide - width) // across + 1, (high - height) // down + 1
    places = -(-wide // across) * -(-high // down)
    return Grid(width, height, stride_px, rows, columns, places - rows * columns)


def _check_steps(spec: ModelSpec) -> None:
    """Check that the network's input shows exactly the tile, so that all tissue is seen and none is invented.

    Raises:
        UsageError: it does not.
    """
    width, height = spec.tile_size_px
    box = covered(spec.steps, width, height)
    if box == (0, 0, width, height):
        return
    kinds = ", ".join(step.KIND for step in spec.steps if isinstance(step, CentreCrop | Pad | Letterbox))
    raise UsageError(
        f"{spec.name}: found the steps {kinds}, which show {box[2] - box[0]}x{box[3] - box[1]} px for a tile of "
        f"{width}x{height} px, expected steps that show the tile alone. Classify single images, without tiles."
    )


def answer_tiles(
    image: DecodedImage,
    plan: Plan,
    engines: Sequence[Engine],
    backend: str,
    *,
    stride_px: int | None = None,
    decode_ms: float = 0.0,
    between: Callable[[], object] | None = None,
) -> SlidePrediction:
    """Classify every tile of an image. Most programs call :meth:`Predictor.predict_tiles` instead.

    Args:
        image: the decoded slide.
        plan: values that the engines share.
        engines: one per thread.
        backend: name of the interpreter and its provider, copied into the result.
        stride_px: distance between tiles in pixels; by default the tiles touch.
        decode_ms: milliseconds that decoding took, copied into the result.
        between: called before each batch of tiles, in the thread that computes it. An exception of it ends the call.
    """
    start, spec = perf_counter(), plan.spec
    grid = grid_of(image, spec, stride_px)
    reading: SlideReading | None = None
    white: npt.NDArray[np.bool_] | None = None
    wanted: Sequence[int] = range(grid.rows * grid.columns)
    if isinstance(image, LazyImage):
        reading, white = image.reading, None if image.glass is None else image.glass(grid).ravel()
        wanted = _wanted(white, grid, reading)
    weight = spec.policy.neighbours if grid.touching else None
    calls = [partial(answer_batch, engine, plan, image, grid, weight is None) for engine in engines]
    workers = [partial(_after, between, call) for call in calls]
    batch = in_rows(joined(list(in_order(workers, batches_of(wanted))), spec.outputs))
    if weight is not None:
        batch = _smoothed(batch, image, plan, engines, grid, weight, between)
    tiles, scores = _decide(batch, spec, grid)
    rule = spec.policy.case
    return SlidePrediction(
        image=image.name,
        model=spec.name,
        version=spec.version,
        cutoff=spec.policy.cutoff,
        confidence_floor=spec.policy.confidence_floor,
        contract=spec.contract,
        backend=backend,
        precision=plan.first.value,
        grid=grid,
        tiles=tiles,
        failures=batch.failures,
        scores=scores,
        case=decide_case([t.decision for t in tiles], [t.confidence for t in tiles], rule) if rule else None,
        ms=Timing(decode_ms, 0.0, 1000.0 * (perf_counter() - start)),
        neighbours=weight,
        fallback=plan.fallback,
        microns_per_pixel=None if reading is None else reading.microns_per_pixel,
        reading=reading,
        white=None if white is None else int(np.count_nonzero(white)),
        site_policy=plan.site_policy,
    )


def _after(
    between: Callable[[], object] | None, work: Callable[[Sequence[int]], Result], wanted: Sequence[int]
) -> Result:
    if between is not None:
        between()
    return work(wanted)


def _wanted(white: npt.NDArray[np.bool_] | None, grid: Grid, reading: SlideReading) -> list[int]:
    """Return the numbers of the tiles of a slide to classify, in an order in which few stored tiles are read twice."""
    numbers = np.arange(grid.rows * grid.columns) if white is None else np.flatnonzero(~white)
    return by_squares(numbers, grid, max(1, _SQUARE_PX * 256 // (reading.factor_256 * max(grid.step_px))))


def _smoothed(
    batch: Batch,
    image: DecodedImage,
    plan: Plan,
    engines: Sequence[Engine],
    grid: Grid,
    weight: float,
    between: Callable[[], object] | None,
) -> Batch:
    """Return the tiles with the weighted mean of their logits and their neighbours' logits.

    All logits in one mean are from the same model file.
    """
    numbers, familiar = np.array(batch.numbers, dtype=np.intp), batch.familiar
    present = _on_grid(numbers[familiar], grid)
    cells = np.zeros((grid.rows * grid.columns, plan.spec.outputs))
    shape = grid.rows, grid.columns, plan.spec.outputs
    cells[numbers] = batch.logits
    logits = averaged_at(numbers, cells.reshape(shape), present, weight)
    near = familiar & near_threshold(logits, plan.spec, plan.guard_band)
    if near.any():
        again = np.flatnonzero(widened(_on_grid(numbers[near], grid)) & present).tolist()
        workers = [partial(_after, between, partial(exact_batch, engine, plan, image, grid)) for engine in engines]
        cells[again] = np.concatenate(list(in_order(workers, batches_of(again))))
        # all other tiles keep the mean of the first file, so that no mean mixes the two files
        logits[near] = averaged_at(numbers[near], cells.reshape(shape), present, weight)
    return replace(batch, logits=logits, rerun=near)


def _on_grid(numbers: npt.NDArray[np.intp], grid: Grid) -> npt.NDArray[np.bool_]:
    """Return a mask of the grid that is True at the given tiles, bool rows×columns."""
    cells = np.zeros(grid.rows * grid.columns, np.bool_)
    cells[numbers] = True
    return cells.reshape(grid.rows, grid.columns)


def _decide(batch: Batch, spec: ModelSpec, grid: Grid) -> tuple[tuple[Tile, ...], npt.NDArray[np.float32]]:
    """Return the decided tiles and the map of their scores, float32 rows×columns, NaN where a tile failed."""
    numbers = list(batch.numbers)
    cells = np.full(grid.rows * grid.columns, np.nan, dtype=np.float32)
    if not numbers:
        return (), cells.reshape(grid.rows, grid.columns)
    score, confidence = positive_scores(batch.logits, spec), scores_of(batch.logits, spec).max(axis=1)
    cells[numbers] = score
    answers = zip(numbers, score.tolist(), confidence.tolist(), batch.rerun.tolist(), batch.familiarity, strict=True)
    tiles = []
    for number, s, c, again, share in answers:
        decision, reason = decide(s, c, spec.policy, familiar=is_familiar(share), rerun=again)
        tiles.append(Tile(*grid.place(number), s, c, decision, reason, share))
    return tuple(tiles), cells.reshape(grid.rows, grid.columns)
