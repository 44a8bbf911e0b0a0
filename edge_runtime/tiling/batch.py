"""Some tiles of a slide, cut out, prepared and put to one engine."""

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
"""Tiles that a worker takes at a time: some 19 MB for a network of 224×224×3."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some tiles' answers.

    Attributes:
        numbers: of the N answered tiles, row by row.
        logits: N×outputs, those that decide.
        rerun: bool N: whether they came from a rerun in float32.
        familiarity: N distances over the limit; None where the model says nothing about it.
        failures: tiles without an answer.
    """

    numbers: tuple[int, ...]
    logits: npt.NDArray[np.float32] | npt.NDArray[np.float64]
    rerun: npt.NDArray[np.bool_]
    familiarity: tuple[float | None, ...]
    failures: tuple[TileFailure, ...]

    @property
    def familiar(self) -> npt.NDArray[np.bool_]:
        """Whether each answered tile is like the model's own images, bool N."""
        return np.array([is_familiar(share) for share in self.familiarity], dtype=np.bool_)


def batches_of(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut tiles' numbers into pieces of at most :data:`BATCH`."""
    return (numbers[i : i + BATCH] for i in range(0, len(numbers), BATCH))


def answer_batch(
    engine: Engine, plan: Plan, image: DecodedImage, grid: Grid, alone: bool, wanted: Sequence[int]
) -> Batch:
    """Answer tiles.

    Args:
        alone: let the float32 file decide where a tile's own score lies near a threshold; else no tile is rerun.
        wanted: the tiles' numbers.
    """
    prepared, numbers, shares, failures = [], [], [], []
    known = plan.spec.familiarity
    for number in wanted:
        try:
            tile = grid.cut(image, number)
            prepared.append(plan.preprocessor.levels(tile))
            shares.append(None if known is None else known.share(tile))
            numbers.append(number)
        except ImageError as error:
            failures.append(TileFailure(*grid.place(number), error))
    if not prepared:
        return Batch((), np.empty((0, plan.spec.outputs), np.float32), np.empty(0, np.bool_), (), tuple(failures))
    if not alone:
        logits, rerun = engine.logits(np.stack(prepared)), np.zeros(len(prepared), np.bool_)
    else:
        logits, rerun = engine.answer_all(np.stack(prepared), np.array([is_familiar(share) for share in shares]))
    return Batch(tuple(numbers), logits, rerun, tuple(shares), tuple(failures))


def exact_batch(
    engine: Engine, plan: Plan, image: DecodedImage, grid: Grid, wanted: Sequence[int]
) -> npt.NDArray[np.float32]:
    """Return the float32 file's logits for tiles that were answered before, float32 N×outputs."""
    prepared = [plan.preprocessor.levels(grid.cut(image, number)) for number in wanted]
    return engine.logits(np.stack(prepared), exact=True)


def joined(batches: Sequence[Batch]) -> Batch:
    """Return one or more batches as one."""
    return Batch(
        numbers=tuple(number for batch in batches for number in batch.numbers),
        logits=np.concatenate([batch.logits for batch in batches]),
        rerun=np.concatenate([batch.rerun for batch in batches]),
        familiarity=tuple(share for batch in batches for share in batch.familiarity),
        failures=tuple(failure for batch in batches for failure in batch.failures),
    )
