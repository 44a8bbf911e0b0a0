"""Do the preprocessing steps give the same bits on the board as on this machine?"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.device.board import Board, tell

PROBE = Path(__file__).with_name("steps_probe.py")
DIFFERING = {
    "linear uint8": 1.0,
    "linear uint8 + sharpen uint8": 16.0,
    "area uint8": 1.0,
    "area float32": 1e-4,
}
"""Steps whose bits OpenCV makes differently by processor, and by how many levels of 255 at most they may depart."""


def compare_steps(board: Board, cpu: str, path: Sequence[Path]) -> list[str]:
    """Run every step here and on the board, say how much differs, and return what may not.

    Args:
        path: the unpacked wheel, and the folder of its packages for the board.
    """
    here, there = _opencv_here(), opencv_in(path[1])
    if here != there:
        tell(f"steps not compared: OpenCV {here} here, {there} on the board")
        return []
    tell(f"preprocessing steps on {cpu} with OpenCV {there}")
    with tempfile.TemporaryDirectory() as name:
        native, foreign = Path(name) / "native.npz", Path(name) / "foreign.npz"
        environment = {**os.environ, "PYTHONPATH": str(path[0])}
        status = subprocess.run([sys.executable, str(PROBE), str(native)], env=environment, check=False).returncode
        status = status or board.run(cpu, [str(PROBE), str(foreign)], path)
        if status:
            return [f"preprocessing steps: the probe ended with status {status}"]
        import numpy as np  # here: it was found beside OpenCV

        with np.load(native) as first, np.load(foreign) as second:
            lines, failures = step_table(dict(first), dict(second))
    print("\n".join(lines))
    return failures


def step_table(native: Mapping[str, Any], foreign: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return a line a case, and the cases that depart further than is known of OpenCV.

    Args:
        native: ``CASE, PICTURE`` → float32 array, made on this machine.
        foreign: the same, made on the board.
    """
    lines, failures = [], []
    for name, values in native.items():
        apart = abs(values.astype("float64") - foreign[name])
        share, most = float((apart > 0).mean()), float(apart.max())
        finding = "same" if share == 0 else f"differs in {100 * share:.3g} % of values by up to {most:.3g}"
        lines.append(f"step      {name:40} {finding}")
        # NaN compares as false: it fails.
        if not most <= DIFFERING.get(name.rsplit(", ", 1)[0], 0.0):
            failures.append(f"step {name} {finding}")
    return lines, failures


def opencv_in(site: Path) -> str | None:
    """Return the version of OpenCV that pip laid into ``site``, None if there is none."""
    found = [path.name.removesuffix(".dist-info").split("-")[1] for path in site.glob("opencv_python_headless-*")]
    return found[0] if found else None


def _opencv_here() -> str | None:
    try:
        return importlib.metadata.version("opencv-python-headless")
    except importlib.metadata.PackageNotFoundError:
        return None
