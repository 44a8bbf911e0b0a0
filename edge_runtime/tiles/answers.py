"""A slide cut into tiles of the model's own size, answered on as many cores as there are engines.

The grid begins at the upper left corner. A place whose tile would reach over the right or the lower edge is left out
and counted: filling it up or stretching it would show the model tissue that is not there. Every other tile is
answered, empty glass as well. A tile's answer is the one that :meth:`Predictor.predict` gives its pixels alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import numpy.typing as npt

from edge_runtime.batches import in_order
from edge_runtime.decision import Decision, Reason, decide_by, decide_case, positive_scores, scores_of
from edge_runtime.engine import Engine, Plan
from edge_runtime.errors import ImageError, ImageSizeError, UsageError
from edge_runtime.familiarity import is_familiar
from edge_runtime.imaging import Picture
from edge_runtime.prediction import Timing
from edge_runtime.spec import ModelSpec
from edge_runtime.tiles.slide import Grid, SlidePrediction, Tile, TileFailure

BATCH = 32
"""Tiles that a worker takes at a time: some 19 MB for a network of 224×224×3."""


def grid_of(picture: Picture, spec: ModelSpec, stride_px: int | None = None) -> Grid:
    """Return the grid on a picture; tiles are as large as the spec's last resize makes pictures.

    Raises:
        UsageError: ``stride_px`` is less than 1.
        ImageSizeError: ``image_too_small``, if not one tile fits.
    """
    if stride_px is not None and stride_px < 1:
        raise UsageError(f"found a stride of {stride_px} px, expected 1 or more.")
    (width, height), (high, wide) = spec.size_px, picture.pixels.shape[:2]
    if wide < width or high < height:
        raise ImageSizeError(
            f"{picture.name}: found {wide}x{high} px, expected at least one tile of {width}x{height} px. "
            "Ask for the picture as a whole, without tiles.",
            code="image_too_small",
        )
    across, down = stride_px or width, stride_px or height
    columns, rows = (wide - width) // across + 1, (high - height) // down + 1
    places = -(-wide // across) * -(-high // down)
    return Grid(width, height, stride_px, rows, columns, places - rows * columns)


def answer_tiles(
    picture: Picture,
    plan: Plan,
    engines: Sequence[Engine],
    backend: str,
    *,
    stride_px: int | None = None,
    decode_ms: float = 0.0,
) -> SlidePrediction:
    """Answer every tile of a picture; :meth:`Predictor.predict_tiles` is the usual way.

    Args:
        engines: one for each thread.
    """
    start, spec = perf_counter(), plan.spec
    grid = grid_of(picture, spec, stride_px)
    batches = (range(i, min(i + BATCH, grid.rows * grid.columns)) for i in range(0, grid.rows * grid.columns, BATCH))
    answers = list(in_order([partial(_answer_batch, engine, plan, picture, grid) for engine in engines], batches))
    tiles, scores = _judge(answers, spec, grid)
    rule = spec.policy.case
    return SlidePrediction(
        image=picture.name,
        model=spec.name,
        version=spec.version,
        cutoff=spec.policy.cutoff,
        confidence_floor=spec.policy.confidence_floor,
        contract=spec.contract,
        backend=backend,
        precision=plan.first.value,
        grid=grid,
        tiles=tiles,
        failures=tuple(failure for answer in answers for failure in answer.failures),
        scores=scores,
        case=decide_case([t.decision for t in tiles], [t.confidence for t in tiles], rule) if rule else None,
        ms=Timing(decode_ms, 0.0, round((perf_counter() - start) * 1000.0, 3)),
    )


@dataclass(frozen=True, eq=False)
class _Batch:
    """Some tiles' answers: their numbers, the logits that decide (N×outputs), and which were rerun (bool N).

    ``familiarity`` holds N distances over the limit; None where the model says nothing about it.
    """

    numbers: tuple[int, ...]
    logits: npt.NDArray[np.float32]
    rerun: npt.NDArray[np.bool_]
    familiarity: tuple[float | None, ...]
    failures: tuple[TileFailure, ...]


def _answer_batch(engine: Engine, plan: Plan, picture: Picture, grid: Grid, wanted: range) -> _Batch:
    prepared, numbers, shares, failures = [], [], [], []
    known = plan.spec.familiarity
    for number in wanted:
        try:
            tile = grid.cut(picture, number)
            prepared.append(plan.preparation.levels(tile))
            shares.append(None if known is None else known.share(tile))
            numbers.append(number)
        except ImageError as error:
            failures.append(TileFailure(*grid.place(number), error))
    if not prepared:
        return _Batch((), np.empty((0, plan.spec.outputs), np.float32), np.empty(0, np.bool_), (), tuple(failures))
    familiar = np.array([is_familiar(share) for share in shares])
    logits, rerun = engine.answer_all(np.stack(prepared), familiar)
    return _Batch(tuple(numbers), logits, rerun, tuple(shares), tuple(failures))


def _judge(answers: Sequence[_Batch], spec: ModelSpec, grid: Grid) -> tuple[tuple[Tile, ...], npt.NDArray[np.float32]]:
    """Return the tiles' answers and the map of their scores, float32 rows×columns."""
    numbers = [number for answer in answers for number in answer.numbers]
    cells = np.full(grid.rows * grid.columns, np.nan, dtype=np.float32)
    if not numbers:
        return (), cells.reshape(grid.rows, grid.columns)
    logits = np.concatenate([answer.logits for answer in answers])
    score, confidence = positive_scores(logits, spec), scores_of(logits, spec).max(axis=1)
    cells[numbers] = score
    rerun = np.concatenate([answer.rerun for answer in answers]).tolist()
    shares = [share for answer in answers for share in answer.familiarity]
    tiles = []
    for number, s, c, again, share in zip(numbers, score.tolist(), confidence.tolist(), rerun, shares, strict=True):
        decision, reason = decide_by(s, c, spec.policy)
        if again:
            reason = Reason.PRECISION_RERUN
        if not is_familiar(share):
            decision, reason = Decision.REFER, Reason.UNFAMILIAR_INPUT
        tiles.append(Tile(*grid.place(number), s, c, decision, reason, share))
    return tuple(tiles), cells.reshape(grid.rows, grid.columns)
