"""``edge-predict --workers``: the lines of one worker, and what a kill, Ctrl-C and a closed pipe leave."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from tests.places import ROOT

COUNT = 300
MODEL = "breast-us"
COMMAND = "from edge_runtime.cli.start import run; run()"
"""As the installed script starts it. After Ctrl-C, ``python -m`` may end by that signal instead of status 130."""
WAIT_S = 60.0


class Site:
    """The command as a user calls it, on many images, and the processes that come of it."""

    def __init__(self, folder: Path) -> None:
        self.images, self._sessions = folder / "images", set[int]()
        self.images.mkdir()
        rng = np.random.default_rng(26)
        for i in range(4):
            noise = rng.integers(0, 256, (500, 500), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{i}.png"), cv2.GaussianBlur(noise, (9, 9), 2 + i))
        for i in range(COUNT):
            if i % 100 == 50:
                (self.images / f"{i:03}.png").write_bytes(b"no image")
            else:
                os.link(folder / f"{i % 4}.png", self.images / f"{i:03}.png")

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", COMMAND, "--model", MODEL, str(self.images)]
        running = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._sessions.add(running.pid)
        return running

    def worker(self, command: subprocess.Popen[str]) -> psutil.Process:
        """Wait for the first worker process of a command."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            for child in Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text("ascii").split():
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return psutil.Process(int(child))
            time.sleep(0.001)
        raise AssertionError("no worker process was started")

    def processes(self) -> list[psutil.Process]:
        """Return those of all commands that still run."""
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(pid) in self._sessions and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    found.append(psutil.Process(pid))
        return found

    def assert_quiet(self) -> None:
        """Nothing is left; the resource tracker of multiprocessing may take a moment."""
        left = psutil.wait_procs(self.processes(), timeout=WAIT_S)[1]
        assert not left


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for process in made.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=WAIT_S)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def steady(text: str) -> list[dict[str, Any]]:
    """The lines without what differs between two runs."""
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("ms", "time", "check")}
        for line in text.splitlines()
    ]


def test_two_workers_print_and_write_the_lines_of_one(site: Site, tmp_path: Path) -> None:
    alone = ended(site.start("--json"))
    assert (alone[0], alone[2]) == (1, f"{COUNT // 100} of {COUNT} failed.\n")
    running = site.start("--json", "--workers", 2)
    site.worker(running)
    status, out, err = ended(running)
    assert (status, steady(out), err) == (1, steady(alone[1]), alone[2])
    site.assert_quiet()
    place, log = tmp_path / "results.jsonl", tmp_path / "audit.jsonl"
    status, _, err = ended(site.start("--output", place, "--workers", 3, "--statistics", "--audit", log))
    assert (status, err.splitlines()[0]) == (1, f"{place}: 297 answered, 3 failed, 0 already there.")
    written = steady(place.read_text("ascii"))
    assert all("statistics" in line for line in written if "error" not in line)
    assert [{**line, "statistics": None} for line in written] == [
        {**line, "statistics": None} for line in steady(alone[1])
    ]
    (summary,) = [event for event in events(log) if event["kind"] == "summary"]
    (answers,) = summary["answers"]
    assert sum(answers["decisions"].values()) == COUNT - 3
    assert answers["failures"] == {"image_format": 3}


def events(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["event"] for line in log.read_text("ascii").splitlines()]


def kill_worker(worker: psutil.Process, cpu_s: float) -> None:
    """Kill the worker after so many seconds of processor time. While it stands still, it keeps what it is given."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while worker.cpu_times().user < cpu_s:
            time.sleep(0.001)
        worker.suspend()
        time.sleep(0.2)
        worker.kill()


def test_images_of_a_killed_worker_are_a_fault_of_the_machine_and_resume_answers_them(
    site: Site, tmp_path: Path
) -> None:
    calm, rough = tmp_path / "calm.jsonl", tmp_path / "rough.jsonl"
    assert ended(site.start("--output", calm))[0] == 1
    for cpu_s in (0.2, 0.4, 0.8, 1.6, 3.2):  # on a slow machine, it is still loading the model at the first of these
        running = site.start("--output", rough, "--resume", "--workers", 2)
        kill_worker(site.worker(running), cpu_s)
        status, _, err = ended(running)
        assert status == 6
        if not err.startswith("error [machine_worker]: workers: "):
            break
        rough.unlink()
    assert err.startswith(f"not answered [machine_worker]: {site.images}/")
    held = steady(rough.read_text("ascii"))
    assert COUNT - 16 <= len(held) < COUNT
    status, _, err = ended(site.start("--output", rough, "--resume", "--workers", 2))
    assert (status, f"{len(held)} already there" in err) == (1, True)
    expected = {line["image"]: line for line in steady(calm.read_text("ascii"))}
    assert {line["image"]: line for line in steady(rough.read_text("ascii"))} == expected
    site.assert_quiet()


def test_ctrl_c_ends_all_processes_with_one_line(site: Site, tmp_path: Path) -> None:
    """The terminal sends it to all of them, at any time: while they start, too."""
    for wait_s in (0.0, 0.0, 0.0, 0.002, 0.02, 0.05, 0.1, 0.2, 0.4):
        running = site.start("--json", "--workers", 2)
        site.worker(running)
        time.sleep(wait_s)
        os.killpg(running.pid, signal.SIGINT)
        status, out, err = ended(running)
        assert (status, err) == (130, "interrupted; every result printed or written so far is complete.\n")
        assert len(steady(out)) < COUNT
        site.assert_quiet()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_results_file_is_whole_after_a_signal_to_all(number: signal.Signals, site: Site, tmp_path: Path) -> None:
    place = tmp_path / "results.jsonl"
    running = site.start("--output", place, "--workers", 2)
    site.worker(running)
    time.sleep(0.3)
    os.killpg(running.pid, number)
    status, _, err = ended(running)
    held = steady(place.read_text("ascii"))
    assert status == 128 + number
    assert f"interrupted ({number.name}): {place} holds {len(held)} of {COUNT} images, each line whole." in err
    site.assert_quiet()
    assert ended(site.start("--output", place, "--workers", 2, "--resume"))[0] == 1
    assert len({line["image"] for line in steady(place.read_text("ascii"))}) == COUNT


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, None])
def test_nothing_is_left_when_the_command_ends_early(end: signal.Signals | None, site: Site) -> None:
    with site.start("--json", "--workers", 3) as running:
        site.worker(running)
        if end is None:
            assert running.stdout is not None
            running.stdout.close()
        else:
            running.send_signal(end)
        assert running.wait(WAIT_S) == (5 if end is None else -end)
    site.assert_quiet()
