"""Archives in processes that a test may kill, found again by a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from edge_runtime.archive.engines.ray_engine import START_S
from tests.places import ROOT

MARK = "EDGE_TEST_MARK"
SECONDS = START_S + 240
"""Longest run of a command, with the start of Ray on a busy machine."""


@dataclass
class Site:
    """The command ``edge-predict`` as a user calls it, and the processes that come of it."""

    folder: Path
    mark: str = field(default_factory=lambda: uuid4().hex)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, MARK: self.mark, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "edge_runtime.cli.predict", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def call(self, *arguments: object, seconds: float = SECONDS) -> tuple[int, list[str], str]:
        """Run to the end; return the exit status, the lines of stdout, and stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=seconds)
        assert b"Traceback" not in err, err.decode()
        return process.returncode, out.decode().splitlines(), err.decode()

    def workers(self) -> list[psutil.Process]:
        """Worker processes: children by ``spawn`` that are no helpers of multiprocessing, and Ray's workers."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                words = " ".join(process.cmdline())
                if words.startswith("ray::_call") or ("spawn_main" in words and "resource_tracker" not in words):
                    found.append(process)
        return found

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def wait_for_shards(
        self, archive: Path, count: int, driver: subprocess.Popen[bytes], seconds: float = SECONDS
    ) -> int:
        """Wait until so many shards of a running driver are finished; return how many there are."""
        end = time.monotonic() + seconds
        while (there := finished_shards(archive)) < count:
            if driver.poll() is not None:
                skip_without_engine(driver.communicate()[1].decode())
                assert finished_shards(archive) >= count, "the driver ended early"
            assert time.monotonic() < end, f"only {there} shards after {seconds} s"
            time.sleep(0.01)
        return there

    def wait_until_quiet(self, seconds: float = 60) -> None:
        """Wait until no process is left."""
        end = time.monotonic() + seconds
        while left := self.processes():
            assert time.monotonic() < end, [process.cmdline() for process in left]
            time.sleep(0.1)


def skip_without_engine(err: str) -> None:
    """Skip the test if the engine itself did not start: on a very busy machine Ray times out for five minutes."""
    if "[archive_engine]" in err:
        pytest.skip("the engine does not start on this busy machine")


def finished_shards(archive: Path) -> int:
    return len(list(archive.glob("shards/*/[0-9]*.parquet")))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for process in made.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()


@pytest.fixture
def many(phantom_patches: list[Path], tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that makes a folder of so many images, one in a hundred of them bad."""

    def make(count: int) -> Path:
        root = tmp_path / "many"
        contents = [path.read_bytes() for path in phantom_patches]
        for number in range(count):
            path = root / f"{number // 100:03}" / f"{number:06}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no image" if number % 100 == 17 else contents[number % len(contents)])
        return root

    return make
