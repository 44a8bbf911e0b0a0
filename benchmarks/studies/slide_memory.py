"""Memory and time of whole slides, by their size: dense ones and sparse ones.

    python -m benchmarks slide-memory [--side 5000 --side 100000] [--mpp 0.25] [--dense | --sparse] [--folder DIR]

A slide has levels of 1, 4 and 16, in JPEG tiles. Of a dense one every tile is tissue and is
stored: one of 64 drawn tiles, so that writing takes minutes and not hours. A sparse one has tissue in the corner of
5,000 pixels a side alone, and no other tile is stored. All outputs are written. The largest resident size is that of
the process, which Linux counts.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np
import tifffile

from edge_runtime.decision.verdict import Decision

TILE, CORNER = 512, 5_000
STEPS = (1, 4, 16)
PROGRAM = """
import sys
from edge_runtime.cli.predict import main
try:
    main(sys.argv[1:])
finally:
    with open("/proc/self/status") as file:
        print(*(line.split()[1] for line in file if line.startswith("VmHWM")))
"""


def drawn_tiles(count: int = 64) -> list[bytes]:
    """Return tiles of pink grain as JPEG images."""
    rng, found = np.random.default_rng(7), list[bytes]()
    for number in range(count):
        coarse = rng.normal(0, 40, (TILE // 16, TILE // 16, 3)).astype(np.float32)
        pixels = (
            np.array([170, 110 + number, 190]) + cv2.resize(coarse, (TILE, TILE)) + rng.normal(0, 6, (TILE, TILE, 1))
        )
        done, data = cv2.imencode(".jpg", pixels.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
        assert done
        found.append(data.tobytes())
    return found


def write_slide(path: Path, side: int, mpp: float, *, dense: bool) -> Path:
    """Write a pyramid of square levels, the largest of ``mpp`` microns per pixel."""
    drawn = drawn_tiles()
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level, step in enumerate(STEPS):
            width, per_centimetre = side // step, 10_000 / (mpp * step)
            file.write(
                _stored(drawn, width, width if dense else CORNER // step),
                shape=(width, width, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(2, 2),
                metadata=None,
                subfiletype=level and 1,
                resolution=(per_centimetre, per_centimetre),
                resolutionunit="CENTIMETER",
            )
    return path


def _stored(drawn: list[bytes], width: int, tissue: int) -> Iterator[bytes]:
    """Yield the tiles of a level, row by row; an empty one is not stored."""
    places = range(0, width, TILE)
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            yield drawn[(row * 7 + column) % len(drawn)] if max(x, y) < tissue else b""


def measured(path: Path, folder: Path) -> tuple[float, float, int]:
    """Classify a slide with all outputs; return the largest resident MB, processor seconds, and the tissue tiles."""
    outputs = ("--map", "m.png", "--ome-tiff", "m.ome.tif", "--geojson", "m.geojson", "--scores", "m.npy")
    options = [
        "--model",
        "idc-patch-compact",
        "--tiles",
        path,
        "--workers",
        2,
        "--json",
        *outputs,
    ]
    before = _processor_seconds()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, options)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise click.ClickException(done.stderr)
    told, peak = done.stdout.splitlines()
    return (
        int(peak) * 1024 / 1e6,
        _processor_seconds() - before,
        sum(json.loads(told)["tiles"][each.value] for each in Decision),
    )


def _processor_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@click.command()
@click.option("--side", "sides", type=click.IntRange(1_000), multiple=True, default=(5_000, 100_000), show_default=True)
@click.option("--mpp", type=float, default=0.25, show_default=True, help="Microns per pixel of the slide.")
@click.option("--dense/--sparse", default=True, show_default=True)
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where slides are written."
)
def slide_memory(sides: tuple[int, ...], mpp: float, dense: bool, folder: Path | None) -> None:
    """Print the largest resident size of slides, by their size. A dense one of 100,000 pixels a side has 2 GB."""
    print(f"{'side':>8} {'tiles':>8} {'file':>8} {'memory':>8} {'processor':>9}")
    for side in sides:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            path = write_slide(Path(scratch) / "slide.tif", side, mpp, dense=dense)
            peak, seconds, tiles = measured(path, Path(scratch))
            size = path.stat().st_size / 1e6
        print(f"{side:8} {tiles:8} {size:5.0f} MB {peak:5.0f} MB {seconds:7.1f} s", flush=True)
