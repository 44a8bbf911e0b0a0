"""A hand-written loop over the tiles of a slide: cut, scale by a table of 256 levels, invoke, argmax."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.peers.litert_model import open_model
from benchmarks.peers.steps import LEVELS, OFFSET, SCALE, positive
from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function of a slide: how many tiles are positive. Tiles have the size of the network's input."""
    run, side = open_model(task.model), int(task.options["side_px"])
    table = np.arange(256, dtype=np.float32) / SCALE - OFFSET
    assert np.array_equal(LEVELS[task.network](_probe(side)), _probe(side)[..., ::-1]), "tiles are resized"

    def call(item: Item) -> int:
        pixels = cv2.cvtColor(item.image, cv2.COLOR_BGR2RGB)
        rows, columns = (length // side for length in pixels.shape[:2])
        return sum(
            positive(run(table[pixels[y * side : (y + 1) * side, x * side : (x + 1) * side]][np.newaxis]))
            for y in range(rows)
            for x in range(columns)
        )

    return call


def _probe(side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
