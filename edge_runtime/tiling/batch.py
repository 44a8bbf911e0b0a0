"""Batches of tiles: cut them out, preprocess them and run one engine on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageError
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.engine import Engine, Plan
from edge_runtime.ood.detector import is_familiar
from edge_runtime.tiling.slide import Grid, TileFailure

BATCH = 32
"""Number of tiles per batch: about 19 MB for a network with input 224×224×3."""


@dataclass(frozen=True, eq=False)
class Batch:
    """The results for a batch of tiles.

    Attributes:
        numbers: numbers of the N classified tiles, row by row.
        logits: the deciding logits, N×outputs.
        rerun: bool N, True where the logits are from a rerun in float32.
        familiarity: N out-of-distribution distances divided by the limit; None if the model has no such check.
        failures: tiles without a result.
    """

    numbers: tuple[int, ...]
    logits: npt.NDArray[np.float32] | npt.NDArray[np.float64]
    rerun: npt.NDArray[np.bool_]
    familiarity: tuple[float | None, ...]
    failures: tuple[TileFailure, ...]

    @property
    def familiar(self) -> npt.NDArray[np.bool_]:
        """Whether each classified tile passed the out-of-distribution check, bool N."""
        return np.array([is_familiar(share) for share in self.familiarity], dtype=np.bool_)


def batches_of(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Split tile numbers into batches of at most :data:`BATCH`."""
    return (numbers[i : i + BATCH] for i in range(0, len(numbers), BATCH))


def answer_batch(
    engine: Engine, plan: Plan, image: DecodedImage, grid: Grid, alone: bool, wanted: Sequence[int]
) -> Batch:
    """Classify the tiles with the given numbers.

    Args:
        alone: each tile is decided by its own logits, so rerun those near a threshold in float32. If False, rerun none.
        wanted: numbers of the tiles.
    """
    prepared, numbers, tiles, failures = [], [], [], []
    for number in wanted:
        try:
            tile = grid.cut(image, number)
            prepared.append(plan.preprocessor.levels(tile))
            tiles.append(tile)
            numbers.append(number)
        except ImageError as error:
            failures.append(TileFailure(*grid.place(number), error))
    if not prepared:
        return Batch((), np.empty((0, plan.spec.outputs), np.float32), np.empty(0, np.bool_), (), tuple(failures))
    detector = plan.spec.familiarity
    shares: Sequence[float | None] = [None] * len(tiles) if detector is None else detector.image_shares(tiles)
    if alone:
        answers = [engine.answer(*tile) for tile in zip(prepared, shares, strict=True)]
        logits, rerun = np.stack([each.logits for each in answers]), [each.exact for each in answers]
        shares = [each.share for each in answers]
    else:
        logits, shares = engine.screen(prepared, shares)
        rerun = [False] * len(prepared)
    return Batch(tuple(numbers), logits, np.array(rerun, dtype=np.bool_), tuple(shares), tuple(failures))


def exact_batch(
    engine: Engine, plan: Plan, image: DecodedImage, grid: Grid, wanted: Sequence[int]
) -> npt.NDArray[np.float32]:
    """Return the logits of the float32 file for tiles that can be preprocessed, float32 N×outputs."""
    prepared = [plan.preprocessor.levels(grid.cut(image, number)) for number in wanted]
    return engine.logits(np.stack(prepared), exact=True)


def by_squares(wanted: npt.NDArray[np.intp], grid: Grid, side: int) -> list[int]:
    """Return tile numbers ordered square by square, so that tiles near each other are read soon after each other.

    Args:
        wanted: numbers of tiles.
        side: tiles along one side of a square.
    """
    row, column = np.divmod(wanted, grid.columns)
    return [int(number) for number in wanted[np.lexsort((wanted, column // side, row // side))]]


def in_rows(batch: Batch) -> Batch:
    """Return the same results, row by row."""
    order = np.argsort(np.array(batch.numbers, dtype=np.intp))
    return Batch(
        numbers=tuple(batch.numbers[i] for i in order),
        logits=batch.logits[order],
        rerun=batch.rerun[order],
        familiarity=tuple(batch.familiarity[i] for i in order),
        failures=tuple(sorted(batch.failures, key=lambda failure: (failure.y_px, failure.x_px))),
    )


def joined(batches: Sequence[Batch], outputs: int) -> Batch:
    """Return one batch that joins ``batches``, of a network with the given number of outputs."""
    if not batches:
        return Batch((), np.empty((0, outputs), np.float32), np.empty(0, np.bool_), (), ())
    return Batch(
        numbers=tuple(number for batch in batches for number in batch.numbers),
        logits=np.concatenate([batch.logits for batch in batches]),
        rerun=np.concatenate([batch.rerun for batch in batches]),
        familiarity=tuple(share for batch in batches for share in batch.familiarity),
        failures=tuple(failure for batch in batches for failure in batch.failures),
    )
