"""Environments of peers that do not share one with this package: ``python -m benchmarks peers --install``."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestant import ROOT, NoFiguresError

FOLDER = ROOT / ".benchmarks"
"""Where environments are made; git ignores it."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        name: name of its folder.
        requirements: what pip installs, in exact versions, so that a table can be repeated.
        shows: the packages whose versions the table names.
    """

    name: str
    requirements: tuple[str, ...]
    shows: tuple[str, ...]

    @property
    def python(self) -> Path:
        """Its interpreter.

        Raises:
            NoFiguresError: it is not installed.
        """
        path = FOLDER / self.name / "bin" / "python"
        if not path.exists():
            raise NoFiguresError(f"not installed; run python -m benchmarks peers --install {self.name}")
        return path

    def install(self) -> None:
        """Make the environment, or bring it up to date.

        Raises:
            NoFiguresError: pip fails; the reason is its last line.
        """
        folder = FOLDER / self.name
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *self.requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NoFiguresError((done.stderr.strip().splitlines() or ["pip failed"])[-1])


OPENVINO = Environment("openvino", ("openvino==2026.4.1", "opencv-python-headless==5.0.0.93"), ("openvino",))
MODEL_API = Environment(
    "openvino-model-api",
    ("openvino-model-api==0.4.7", "openvino==2026.4.1", "opencv-python-headless==4.14.0.94"),  # it needs OpenCV 4
    ("openvino", "openvino-model-api"),
)
MEDIAPIPE = Environment("mediapipe", ("mediapipe==1.2.3",), ("mediapipe",))

ENVIRONMENTS = (OPENVINO, MODEL_API, MEDIAPIPE)
