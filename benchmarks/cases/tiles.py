"""A slide of many tiles, beside a loop over tiles that looks levels up in a table."""

from __future__ import annotations

from contextlib import ExitStack

import cv2
import numpy as np

from benchmarks.cases.measuring import measured
from benchmarks.contestant import Worker
from benchmarks.networks import Network, patches
from benchmarks.settings import Settings
from benchmarks.task import Task
from benchmarks.turns import Table
from edge_runtime.bundle.manifest import Format


def tiles(network: Network, settings: Settings) -> Table:
    """Measure ``predict_tiles`` on a drawn slide, every other row of it empty glass."""
    loop, ours = tasks(network, settings)
    with ExitStack() as stack:
        contestants = [Worker("LiteRT, look-up loop", loop), Worker("predict_tiles, one worker", ours)]
        for each in contestants:
            stack.callback(each.close)
        count, reruns = settings.tiles_side**2, contestants[1].answers[0]
        remark = f"a drawn slide, half of it glass; the float32 file decides {reruns} of {count} tiles"
        rounds = min(settings.rounds, 9)
        return measured(
            f"a slide of {count} tiles", network.name, contestants, (), settings, rounds=rounds, remarks=[remark]
        )


def tasks(network: Network, settings: Settings) -> tuple[Task, Task]:
    """Draw the slide; return the task of the loop and that of this package."""
    path = settings.scratch / "slide.png"
    draw_slide(str(path), settings.tiles_side, network.side_px)
    paths, side = (str(path),), str(network.side_px)
    loop = Task(
        "benchmarks.peers.litert_tiles",
        network.name,
        network.file(Format.TFLITE),
        paths=paths,
        options={"side_px": side},
    )
    ours = Task("benchmarks.peers.edge_tiles", network.name, network.name, paths=paths)
    return loop, ours


def draw_slide(path: str, side_tiles: int, tile_px: int) -> None:
    """Write a slide of patches, every other row of them empty glass."""
    drawn = patches(-(-side_tiles * side_tiles // 2) + side_tiles, tile_px)
    glass = np.full((tile_px, tile_px, 3), 243, np.uint8)
    lines = [
        np.concatenate([glass if y % 2 else drawn[y // 2 * side_tiles + x] for x in range(side_tiles)], axis=1)
        for y in range(side_tiles)
    ]
    cv2.imwrite(path, np.concatenate(lines))
