"""A larger slide needs no more memory: sparse pyramids with the same tissue, each scored in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.slides.layouts.drawing import tissue
from tests.integration.slides.layouts.tiff import write_sparse
from tests.places import ROOT

SMALL, LARGE = 5_000, int(os.environ.get("EDGE_SLIDE_SIDE", "20000"))
"""Sides in pixels; ``EDGE_SLIDE_SIDE=100000`` measures the largest."""
MOST_MIB = 64
PROGRAM = """
import json, sys
from edge_runtime.cli.predict import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
with open("/proc/self/status") as file:
    print(json.dumps([int(line.split()[1]) for line in file if line.startswith("VmHWM")]))
"""


def measured(model: Path, folder: Path, side: int, compression: str) -> tuple[float, float, dict[str, object]]:
    """Return the peak in MiB, the seconds, and what the command says."""
    path = write_sparse(folder / f"{side}.tif", side, tissue(2000, 2000), compression=compression)
    outputs = ["--map", folder / "m.png", "--ome-tiff", folder / "m.ome.tif", "--geojson", folder / "m.geojson"]
    options = ["--model", model, "--tiles", path, "--workers", "2", "--json", *outputs, "--scores", folder / "m.npy"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
    )
    assert done.returncode == 0, done.stderr
    told, peak = done.stdout.splitlines()
    return json.loads(peak)[0] / 1024, time.perf_counter() - start, json.loads(told)


@pytest.mark.parametrize("compression", ["zlib", "lzw"], ids=["tifffile", "openslide"])
def test_memory_hardly_grows_with_the_slide(compression: str, model: Path, tmp_path: Path) -> None:
    small, seconds, first = measured(model, tmp_path, SMALL, compression)
    large, more_seconds, last = measured(model, tmp_path, LARGE, compression)
    print(f"{compression} {SMALL}: {small:.0f} MiB, {seconds:.0f} s; {LARGE}: {large:.0f} MiB, {more_seconds:.0f} s")
    assert first["tiles"]["POSITIVE"] == last["tiles"]["POSITIVE"]  # type: ignore[index]
    assert last["rows"] == LARGE // 50
    assert large - small <= MOST_MIB
