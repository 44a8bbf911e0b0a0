"""The spool keeps what it acknowledged through kills and full disks, and names nothing after a patient."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_runtime.dicom.room import SpoolFullError, SpoolLimits
from edge_runtime.dicom.spool import MOST_ATTEMPTS, Spool
from edge_runtime.errors import UsageError
from tests.places import ROOT

LIMITS = SpoolLimits(most_bytes=1 << 20, least_free=0)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", LIMITS)


def again(spool: Spool, folder: Path) -> Spool:
    """The spool as the next process finds it."""
    spool.close()
    return Spool(folder / "spool", LIMITS)


def test_instances_come_in_the_order_of_their_arrival(spool: Spool) -> None:
    for content in (b"third", b"first", b"second"):
        spool.add([content], len(content))
    assert [path.read_bytes() for path in spool.waiting()] == [b"third", b"first", b"second"]


def test_results_appear_together_and_the_instance_leaves(spool: Spool, tmp_path: Path) -> None:
    spool.add([b"image"], 5)
    (instance,) = spool.waiting()
    spool.finish(instance, [("1.2", b"report"), ("1.3", b"heatmap")])
    assert not spool.waiting()
    later = again(spool, tmp_path)
    found = list(later.outbox.results())
    assert sorted(path.read_bytes() for path in found) == [b"heatmap", b"report"]
    for path in found:
        later.outbox.accepted(path)
    assert later.counts() == dict.fromkeys(("incoming", "marks", "unmarked", "refused", "outgoing"), 0)
    assert not list((tmp_path / "spool" / "outgoing").iterdir())


def test_the_same_results_are_stored_once(spool: Spool) -> None:
    for _ in range(2):
        spool.add([b"image"], 5)
        spool.finish(spool.waiting()[0], [("1.2", b"report")])
    assert len(list(spool.outbox.results())) == 1


def test_a_full_spool_refuses_and_takes_again_when_there_is_room(spool: Spool) -> None:
    spool.add([b"x" * 900_000], 900_000)
    with pytest.raises(SpoolFullError):
        spool.add([b"y" * 200_000], 200_000)
    spool.finish(spool.waiting()[0], [])
    spool.add([b"y" * 200_000], 200_000)
    assert len(spool.waiting()) == 1


def test_the_size_counts_what_an_earlier_process_left(spool: Spool, tmp_path: Path) -> None:
    spool.add([b"x" * 900_000], 900_000)
    with pytest.raises(SpoolFullError):
        again(spool, tmp_path).add([b"y" * 200_000], 200_000)


def test_a_disk_that_would_be_too_full_refuses(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SpoolLimits(1 << 20, 1 << 60))
    with pytest.raises(SpoolFullError):
        spool.add([b"x"], 1)


def test_a_full_disk_while_writing_leaves_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpoolFullError):
        spool.add([b"x"], 1)
    monkeypatch.undo()
    assert not spool.waiting()
    assert spool._room.held == 0


def test_an_instance_that_ends_the_process_again_and_again_is_set_aside(spool: Spool, tmp_path: Path) -> None:
    spool.add([b"poison"], 6)
    for _ in range(MOST_ATTEMPTS):
        assert spool.begin(spool.waiting()[0])
        spool = again(spool, tmp_path)
    assert not spool.begin(spool.waiting()[0])
    assert spool.counts() == dict.fromkeys(("incoming", "marks", "unmarked", "outgoing"), 0) | {"refused": 1}


def test_a_fault_of_the_machine_counts_as_no_attempt(spool: Spool) -> None:
    spool.add([b"image"], 5)
    (instance,) = spool.waiting()
    for _ in range(3 * MOST_ATTEMPTS):
        assert spool.begin(instance)
        spool.fail(instance)


def test_two_processes_never_share_a_spool(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another receiver"):
        Spool(tmp_path / "spool", LIMITS)


def test_files_are_for_the_owner_alone(spool: Spool, tmp_path: Path) -> None:
    spool.add([b"image"], 5)
    (instance,) = spool.waiting()
    assert instance.stat().st_mode & 0o077 == 0
    assert instance.parent.stat().st_mode & 0o077 == 0


WRITER = """
import sys
from pathlib import Path
from edge_runtime.dicom.spool import Spool, SpoolLimits
spool = Spool(Path(sys.argv[1]), SpoolLimits(1 << 30, 0))
for instance in spool.waiting():
    number = instance.read_bytes()
    spool.finish(instance, [(f"report {number}", number), (f"heatmap {number}", number)])
number = int(sys.argv[2])
while True:
    spool.add([b"%d" % number], 20)
    print(number, flush=True)
    number += 1
    (*_, instance) = spool.waiting()
    if number % 2:
        spool.finish(instance, [(f"report {instance.read_bytes()}", instance.read_bytes())] * 1)
"""


def test_kills_at_random_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A process acknowledges numbers and is killed; the spool has each number afterwards."""
    folder, acknowledged = tmp_path / "spool", 0
    for round_ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(acknowledged)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        with process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            time.sleep(0.003 * round_)
            process.kill()
            lines += process.stdout
        acknowledged = 1 + max(int(line) for line in lines if line.endswith("\n"))
    spool = Spool(folder, SpoolLimits(1 << 30, 0))
    held = {int(path.read_bytes()) for path in [*spool.waiting(), *spool.outbox.results()]}
    assert acknowledged > 3
    assert held >= set(range(acknowledged))
