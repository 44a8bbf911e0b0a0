"""``--output`` under signals, SIGKILL and full disks: ``--resume`` finishes with each image once, in order."""

from __future__ import annotations

import os
import pty
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.predictor import Predictor
from tests.places import ROOT
from tests.unit.cli.results_lines import images, lines

COMMAND = [sys.executable, "-m", "edge_runtime.cli.predict", "--model"]
KILLS = 6

Running = subprocess.Popen[bytes]
Start = Callable[..., Running]


@pytest.fixture
def start(phantom_bundle: Path) -> Iterator[Start]:
    """Start the command as a process that does not outlive the test."""
    running: list[Running] = []

    def popen(*arguments: object, **options: Any) -> Running:
        command = [*COMMAND, str(phantom_bundle), *map(str, arguments)]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, **options))
        return running[-1]

    yield popen
    for process in running:
        process.kill()
        process.communicate()


def ended(process: Running) -> tuple[int, str, str]:
    """Wait, and return exit status, stdout and stderr."""
    out, err = process.communicate(timeout=120)
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode(), err.decode()


def wait_for(condition: Callable[[], bool], process: Running) -> None:
    end = time.monotonic() + 60
    while not condition() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.001)


def grown_to(path: Path, size: int) -> Callable[[], bool]:
    return lambda: path.exists() and path.stat().st_size >= size


@pytest.mark.parametrize("count", [300, pytest.param(1000, marks=pytest.mark.slow)])
def test_killed_again_and_again_it_ends_as_if_it_had_never_been(
    count: int, start: Start, folder: Callable[[int], Path], tmp_path: Path
) -> None:
    """SIGKILL at random sizes of the file; then its last line is torn, too, as a power cut may do."""
    decoded, chance = folder(count), random.Random(count)
    calm, rough = tmp_path / "calm.jsonl", tmp_path / "rough.jsonl"
    assert ended(start(decoded, "--output", calm))[0] == 1
    size, kills = calm.stat().st_size, 0
    for share in sorted(chance.uniform(0, 0.95) for _ in range(KILLS)):
        process = start(decoded, "--output", rough, "--resume")
        wait_for(grown_to(rough, int(share * size)), process)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        if rough.stat().st_size > 1000:
            os.truncate(rough, rough.stat().st_size - chance.randrange(150))
    assert kills == KILLS
    left = rough.read_text(encoding="ascii").count("\n")
    assert 0 < left < count
    status, out, err = ended(start(decoded, "--output", rough, "--resume"))
    assert (status, out) == (1, "")
    assert f" {left} already there" in err
    assert lines(rough) == lines(calm)
    assert images(rough) == [str(decoded / f"{number:04}.png") for number in range(count)]


def test_a_disk_that_fills_up_leaves_with_5_and_whole_lines(
    start: Start, folder: Callable[[int], Path], place: Path
) -> None:
    """The kernel takes a part of the line and refuses the rest, as on a full disk (RLIMIT_FSIZE needs no rights)."""
    decoded, room = folder(60), 10_000
    limits = (room, resource.RLIM_INFINITY)
    full = start(decoded, "--output", place, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    status, out, err = ended(full)
    written = len(lines(place))
    assert (status, out) == (5, "")
    assert err.startswith(f"error [results_write]: {place}: could not be written (File too large)")
    assert f"the {written} answers in it are complete" in err
    assert "--resume" in err
    assert room - 1000 < place.stat().st_size <= room
    assert ended(start(decoded, "--output", place, "--resume"))[0] == 1
    assert images(place) == [str(path) for path in sorted(decoded.iterdir())]


@contextmanager
def tiny_disk(place: Path) -> Iterator[Path]:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_really_full_disk_too(start: Start, folder: Callable[[int], Path], tmp_path: Path) -> None:
    images = folder(60)
    with tiny_disk(tmp_path / "disk") as disk:
        (disk / "in the way").write_bytes(b"x" * 4096)
        status, _, err = ended(start(images, "--output", disk / "results.jsonl"))
        assert status == 5
        assert "(No space left on device)" in err
        kept = lines(disk / "results.jsonl")
        assert 0 < len(kept) < 60
        (disk / "in the way").unlink()
        again, _, err = ended(start(images, "--output", disk / "results.jsonl", "--resume"))
        assert again == 5
        assert lines(disk / "results.jsonl")[: len(kept)] == kept
        assert len(lines(disk / "results.jsonl")) > len(kept)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_image_at_hand(
    number: signal.Signals, start: Start, folder: Callable[[int], Path], place: Path
) -> None:
    decoded = folder(300)
    process = start(decoded, "--output", place)
    wait_for(grown_to(place, 6000), process)
    process.send_signal(number)
    status, out, err = ended(process)
    held = len(lines(place))
    assert (status, out) == (128 + number, "")
    assert err == (
        f"interrupted ({number.name}): {place} holds {held} of 300 images, each line whole. "
        "Continue with the same command and --resume.\n"
    )
    assert ended(start(decoded, "--output", place, "--resume"))[0] == 1
    assert images(place) == [str(path) for path in sorted(decoded.iterdir())]


def test_a_signal_that_the_shell_ignores_stays_ignored(
    start: Start, folder: Callable[[int], Path], place: Path
) -> None:
    """As nohup and a script's ``&`` do."""
    process = start(folder(100), "--output", place, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for(grown_to(place, 6000), process)
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 1
    assert len(lines(place)) == 100


def test_images_that_vanish_meanwhile_fail_by_name_and_can_be_retried(
    start: Start, folder: Callable[[int], Path], place: Path, tmp_path: Path
) -> None:
    decoded, away = folder(300), tmp_path / "away"
    process = start(decoded, "--output", place)
    wait_for(grown_to(place, 15_000), process)
    decoded.rename(away)
    status, _, err = ended(process)
    assert status == 1
    assert "--resume --retry-failed" in err
    assert {line["error"]["code"] for line in lines(place) if "error" in line} == {"image_format", "image_not_found"}
    assert len(lines(place)) == 300
    away.rename(decoded)
    ended(start(decoded, "--output", place, "--resume", "--retry-failed"))
    assert sorted(images(place)) == [str(path) for path in sorted(decoded.iterdir())]
    assert {line["error"]["code"] for line in lines(place) if "error" in line} == {"image_format"}


def test_a_terminal_shows_a_bar_and_a_pipe_the_summary_alone(
    start: Start, phantom_bundle: Path, folder: Callable[[int], Path], place: Path, tmp_path: Path
) -> None:
    images = folder(10)
    assert ended(start(images, "--output", place))[2] == f"{place}: 10 answered, 0 failed, 0 already there.\n"
    ours, theirs = pty.openpty()
    command = [*COMMAND, str(phantom_bundle), str(images), "--output", str(tmp_path / "seen.jsonl")]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, cwd=ROOT) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # Linux: the terminal's other end was closed
            pass
        assert process.wait() == 0
    os.close(ours)
    assert b"answering" in shown
    assert b"100%" in shown
    assert b"10 answered" in shown.splitlines()[-1]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_stdout_on_a_full_disk_leaves_with_5(
    unbuffered: str, phantom_bundle: Path, phantom_patches: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "wb") as full:
        command = [*COMMAND, str(phantom_bundle), "--json", *map(str, phantom_patches[:3])]
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, timeout=60)
    assert done.returncode == 5
    assert done.stderr.startswith(b"error [output]: stdout: could not be written (No space left on device)")
    assert done.stderr.count(b"\n") == 1


def test_a_second_signal_ends_it_at_once(
    edge_predict: Any,
    phantom_bundle: Path,
    phantom_patches: list[Path],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def impatient(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Predictor, "predict_all", lambda *_, **__: iter([impatient()]))
    result = edge_predict("--model", phantom_bundle, *phantom_patches[:3], "--output", place)
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert signal.getsignal(signal.SIGINT) is before
