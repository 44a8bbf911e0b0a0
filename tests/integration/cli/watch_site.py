"""A folder that is watched by a process of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from tests.places import ROOT
from tests.unit.bundle import shipped_bundle
from tests.unit.bundle.shipped_bundle import NAME

VALID = jsonschema.Draft202012Validator(
    json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
)
PLAIN = "from edge_runtime.cli.predict import main\nmain()"


class Site:
    """A folder, a results file, a store, and the process that watches."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.place = root, root / "in", root / "results.jsonl"
        self.folder.mkdir()
        self.store = root / "store"
        self._made = 0
        self.said = root / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, before: str = "", model: str = NAME) -> subprocess.Popen[bytes]:
        """Start a watch; it listens to signals when this returns, or has ended."""
        command = [sys.executable, "-c", before + PLAIN, "--model", model, "--watch", str(self.folder)]
        command += ["--output", str(self.place), "--interval", "0.05", *options]
        environment = {**os.environ, "EDGE_MODELS": str(self.store), "PYTHONPATH": str(ROOT)}
        with self.said.open("wb") as said:
            process = subprocess.Popen(command, stderr=said, cwd=self.root, env=environment)
        self._process = process
        end = time.monotonic() + 60
        while "watching " not in self.said.read_text() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        return process

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        assert self._process is not None
        self._process.send_signal(number)
        return self.ended(0 if number is signal.SIGTERM else -number)

    def ended(self, status: int) -> str:
        """Wait for the process's end; return its stderr."""
        assert self._process is not None
        found, said = self._process.wait(timeout=60), self.said.read_text()
        assert "Traceback" not in said, said
        assert found == status, said
        self._process = None
        return said

    def bring(self, count: int = 1, name: str = "") -> list[str]:
        """Move images in, whole, each with content of its own; return their paths."""
        moved = []
        for _ in range(count):
            self._made += 1
            path = shipped_bundle.image(self.root / "aside.png", self._made)
            target = self.folder / (name or f"{self._made:04}.png")
            path.rename(target)
            moved.append(str(target))
        return moved

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert self._process is None or self._process.poll() is None, self.said.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)

    def hold(self, count: int, place: Path | None = None) -> list[dict[str, Any]]:
        """Wait until the file has that many lines; return them."""
        self.wait(lambda: len(lines(place or self.place)) >= count)
        return lines(place or self.place)


def lines(place: Path) -> list[dict[str, Any]]:
    data = place.read_bytes() if place.exists() else b""
    found = [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
    for line in found:
        VALID.validate(line)
    return found


def images(place: Path) -> list[str]:
    return [line["image"] for line in lines(place)]
