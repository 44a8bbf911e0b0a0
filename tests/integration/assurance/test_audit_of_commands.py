"""Commands that share one audit log are killed at random; what they acknowledged stays, and the results files agree."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from click.testing import CliRunner

from edge_runtime.assurance.audit.entry import SealedEntry
from edge_runtime.assurance.audit.events import Started
from edge_runtime.assurance.audit.log import AuditLog
from edge_runtime.assurance.audit.periods import AuditHistory
from edge_runtime.assurance.audit.verification import verify_log
from edge_runtime.cli.predict import main
from tests.places import ROOT
from tests.unit.assurance.audit.made import counted
from tests.unit.bundle.shipped_bundle import image

RUNS, AT_ONCE, IMAGES = int(os.environ.get("EDGE_AUDIT_RUNS", "12")), 3, 300


def lines_of(place: Path) -> int:
    return place.read_bytes().count(b"\n") if place.exists() else 0


def await_lines(place: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a results file has so many lines, or its process has ended."""
    end = time.monotonic() + 60
    while lines_of(place) < count and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.002)


def test_runs_that_are_killed_leave_a_log_that_holds_and_agrees(tmp_path: Path) -> None:
    folder, log, draw = tmp_path / "images", tmp_path / "audit.jsonl", random.Random(5)
    folder.mkdir()
    image(folder / "000.png")
    for number in range(1, IMAGES):
        shutil.copy(folder / "000.png", folder / f"{number:03}.png")
    places = [tmp_path / f"results-{number}.jsonl" for number in range(AT_ONCE)]
    running: list[subprocess.Popen[bytes] | None] = [None] * AT_ONCE
    kills = 0
    for number in range(RUNS):
        slot = number % AT_ONCE
        if (process := running[slot]) is not None:
            await_lines(places[slot], lines_of(places[slot]) + draw.randrange(1, 60), process)
            kills += process.poll() is None
            process.kill()
            process.wait()
        command = [sys.executable, "-m", "edge_runtime.cli.predict", str(folder), "--output", str(places[slot])]
        command += ["--resume", "--audit", str(log), "--audit-period", "0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        running[slot] = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    for process in running:
        assert process is not None and process.wait(120) == 0
    entries: list[SealedEntry] = []
    history = AuditHistory()
    found = verify_log(log, take=lambda sealed: (entries.append(sealed), history.take(sealed)))
    starts = sum(isinstance(each.entry.event, Started) for each in entries)
    print(f"{kills} kills, {starts} starts, {found.entries} entries, {len(history.unended())} runs without end")
    assert kills >= len(history.unended()) > 0 and found.holds, [str(fault) for fault in found.faults]
    for place in places:
        assert len(place.read_bytes().splitlines()) == IMAGES
        checked = CliRunner().invoke(main, ["check", str(place), "--audit", str(log)])
        assert checked.exit_code == 0, checked.output


def test_a_log_that_is_written_and_rotated_is_verified_at_any_moment(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", rotate_bytes=4000)
    log.append([counted()])
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            log.append([counted()])
            time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        checks, files = 0, 0
        while checks < 100 or files <= 3:  # a slow disk needs more checks until there are four files
            found = verify_log(log.path)
            assert found.holds, [str(fault) for fault in found.faults]
            checks, files = checks + 1, found.files
    finally:
        ended.set()
        writer.join()


def test_two_processes_at_once_are_told_apart_by_their_runs(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    command = [
        sys.executable,
        "-m",
        "edge_runtime.cli.predict",
        str(ROOT / "docs" / "phantom.png"),
        "--audit",
        str(log),
    ]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    history = AuditHistory()
    assert verify_log(log, take=history.take).holds
    assert len({period.run for period in history.periods}) == 2
    assert [period.decisions.total() for period in history.periods] == [1, 1]
