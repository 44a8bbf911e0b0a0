"""A slide cut into tiles of the model's own size, answered on as many cores as there are engines.

The grid begins at the upper left corner. A place whose tile would reach over the right or the lower edge is left out
and counted: filling it up or stretching it would show the model tissue that is not there. Every other tile is
answered, empty glass as well.

Where the policy has no ``neighbours``, a tile's answer is the one that :meth:`Predictor.predict` gives its pixels
alone. Where it has, and the tiles touch, the answer follows from the weighted mean of the tile's logits and those of
the tiles around it (:mod:`edge_runtime.tiling.smoothing`); tiles that failed or are unfamiliar neither give nor take
part. Then the guard band holds for the mean: where the mean of the file that answers first comes near a threshold, the
tile and all around it are put to the float32 file, whose mean decides. With a stride of another length than the
tile's, every tile is answered for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter

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
from edge_runtime.inference.pipeline import since
from edge_runtime.inference.prediction import Timing
from edge_runtime.ood.detector import is_familiar
from edge_runtime.tiling.batch import Batch, answer_batch, batches_of, exact_batch, joined
from edge_runtime.tiling.slide import Grid, SlidePrediction, Tile
from edge_runtime.tiling.smoothing import averaged, widened


def grid_of(image: DecodedImage, spec: ModelSpec, stride_px: int | None = None) -> Grid:
    """Return the grid on an image; tiles are as large as the spec's last resize makes images.

    Raises:
        UsageError: ``stride_px`` is less than 1.
        ImageSizeError: ``image_too_small``, if not one tile fits.
    """
    if stride_px is not None and stride_px < 1:
        raise UsageError(f"found a stride of {stride_px} px, expected 1 or more.")
    (width, height), (high, wide) = spec.size_px, image.pixels.shape[:2]
    if wide < width or high < height:
        raise ImageSizeError(
            f"{image.name}: found {wide}x{high} px, expected at least one tile of {width}x{height} px. "
            "Ask for the image as a whole, without tiles.",
            code="image_too_small",
        )
    across, down = stride_px or width, stride_px or height
    columns, rows = (wide - width) // across + 1, (high - height) // down + 1
    places = -(-wide // across) * -(-high // down)
    return Grid(width, height, stride_px, rows, columns, places - rows * columns)


def answer_tiles(
    image: DecodedImage,
    plan: Plan,
    engines: Sequence[Engine],
    backend: str,
    *,
    stride_px: int | None = None,
    decode_ms: float = 0.0,
) -> SlidePrediction:
    """Answer every tile of an image; :meth:`Predictor.predict_tiles` is the usual way.

    Args:
        engines: one for each thread.
    """
    start, spec = perf_counter(), plan.spec
    grid = grid_of(image, spec, stride_px)
    weight = spec.policy.neighbours if grid.touching else None
    asks = [partial(answer_batch, engine, plan, image, grid, weight is None) for engine in engines]
    found = joined(list(in_order(asks, batches_of(range(grid.rows * grid.columns)))))
    if weight is not None:
        found = _among_neighbours(found, image, plan, engines, grid, weight)
    tiles, scores = _judge(found, spec, grid)
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
        failures=found.failures,
        scores=scores,
        case=decide_case([t.decision for t in tiles], [t.confidence for t in tiles], rule) if rule else None,
        ms=Timing(decode_ms, 0.0, since(start, perf_counter())),
        neighbours=weight,
        fallback=plan.fallback,
    )


def _among_neighbours(
    found: Batch, image: DecodedImage, plan: Plan, engines: Sequence[Engine], grid: Grid, weight: float
) -> Batch:
    """Return the same tiles with the mean of their logits and their neighbours', all from one file."""
    numbers, familiar = np.array(found.numbers, dtype=np.intp), found.familiar
    present = _on_grid(numbers[familiar], grid)
    cells = np.zeros((grid.rows * grid.columns, plan.spec.outputs))
    shape = grid.rows, grid.columns, plan.spec.outputs
    cells[numbers] = found.logits
    logits = averaged(cells.reshape(shape), present, weight).reshape(cells.shape)[numbers]
    near = familiar & near_threshold(logits, plan.spec, plan.guard_band)
    if near.any():
        again = np.flatnonzero(widened(_on_grid(numbers[near], grid)) & present).tolist()
        asks = [partial(exact_batch, engine, plan, image, grid) for engine in engines]
        cells[again] = np.concatenate(list(in_order(asks, batches_of(again))))
        # the others keep the first file's mean: one mixed of both files would be neither's answer
        logits[near] = averaged(cells.reshape(shape), present, weight).reshape(cells.shape)[numbers[near]]
    return replace(found, logits=logits, rerun=near)


def _on_grid(numbers: npt.NDArray[np.intp], grid: Grid) -> npt.NDArray[np.bool_]:
    """Return where tiles lie, bool rows×columns."""
    cells = np.zeros(grid.rows * grid.columns, np.bool_)
    cells[numbers] = True
    return cells.reshape(grid.rows, grid.columns)


def _judge(found: Batch, spec: ModelSpec, grid: Grid) -> tuple[tuple[Tile, ...], npt.NDArray[np.float32]]:
    """Return the tiles' answers and the map of their scores, float32 rows×columns."""
    numbers = list(found.numbers)
    cells = np.full(grid.rows * grid.columns, np.nan, dtype=np.float32)
    if not numbers:
        return (), cells.reshape(grid.rows, grid.columns)
    score, confidence = positive_scores(found.logits, spec), scores_of(found.logits, spec).max(axis=1)
    cells[numbers] = score
    answers = zip(numbers, score.tolist(), confidence.tolist(), found.rerun.tolist(), found.familiarity, strict=True)
    tiles = []
    for number, s, c, again, share in answers:
        decision, reason = decide(s, c, spec.policy, familiar=is_familiar(share), rerun=again)
        tiles.append(Tile(*grid.place(number), s, c, decision, reason, share))
    return tuple(tiles), cells.reshape(grid.rows, grid.columns)
