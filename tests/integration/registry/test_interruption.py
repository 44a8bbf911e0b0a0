"""Whatever interrupts an installation, the name means a whole bundle: the old one or the new one."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.bundle.bundle import MANIFEST, SHIPPED, find
from edge_runtime.bundle.registry import transaction
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
from edge_runtime.bundle.registry.install import InstallOutcome, install
from edge_runtime.bundle.registry.pointers import POINTER
from edge_runtime.errors import BundleError, StoreError
from tests.places import ROOT
from tests.unit.bundle.registry.state import Make, assert_whole, on_disk, versions
from tests.unit.bundle.small_bundle import CARD, MODEL


def test_a_full_disk_at_any_write_leaves_the_old_version(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(make("1.0.0"))
    new, before, honest = make("1.1.0"), on_disk(place), os.fsync
    seen: list[str] = []
    for last in range(20):
        left = last

        def fsync(descriptor: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            honest(descriptor)

        monkeypatch.setattr(transaction.os, "fsync", fsync)
        try:
            install(new)
        except StoreError as error:
            assert "No space left on device" in error.message
        else:
            break
        finally:
            monkeypatch.setattr(transaction.os, "fsync", honest)
        seen.append(assert_whole(place))
        assert not list(place.glob(".work-*"))
    assert len(seen) >= 8, "3 files, their folder, two names, the pointer, its name"
    assert seen == sorted(seen), "the new version stays once it is there"
    assert seen.count("1.0.0") >= 7, seen
    assert assert_whole(place) == "1.1.0"
    assert on_disk(place) == sorted([*before, "tiny/1.1.0"])


def test_every_file_is_on_the_disk_before_anything_points_to_it(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was synced alone; renames before that could lead to empty files."""
    events: list[str] = []
    honest_sync, honest_rename, honest_replace = os.fsync, os.rename, os.replace

    def fsync(descriptor: int) -> None:
        events.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        honest_sync(descriptor)

    def moved(honest: Callable[..., None]) -> Callable[..., None]:
        def move(source: object, target: object) -> None:
            events.append("move " + Path(str(target)).name)
            honest(source, target)

        return move

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", moved(honest_rename))
    monkeypatch.setattr(os, "replace", moved(honest_replace))
    install(make("1.0.0"))
    shown = [event for event in events if ".work-" not in event]
    files = [f"sync {name}" for name in (MANIFEST, MODEL, CARD)]
    assert shown == [*files, "move 1.0.0", "sync tiny", "sync store", f"move {POINTER}", "sync tiny"]
    place_of = {event: i for i, event in enumerate(events)}
    hidden = [i for i, event in enumerate(events) if event.startswith("sync .work-")]
    assert place_of[f"sync {CARD}"] < hidden[0] < place_of["move 1.0.0"], "the copy's folder"
    assert place_of["move 1.0.0"] < hidden[1] < place_of[f"move {POINTER}"], "the pointer's text"


# Every child kills itself before another line of the store's modules; the last one gets through.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from edge_runtime.bundle.registry import install as installing
action, argument, after = sys.argv[1], sys.argv[2], int(sys.argv[3])
watched = ("install.py", "transaction.py", "versions.py", "containers.py")

def run(line):
    left = line
    def trace(frame, event, _):
        nonlocal left
        if os.path.basename(frame.f_code.co_filename) not in watched:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    getattr(installing, action)(argument)
    os._exit(0)

for line in range(after, 100000):
    child = os.fork()
    if child == 0:
        run(line)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(line, status, flush=True)
    if sys.stdin.readline() == "" or status == 0:
        break
"""


def killed_at_every_line(action: str, argument: object, check: Callable[[], None]) -> int:
    """Run the action until it gets through, killed one line later each time; ``check`` follows each death."""
    command = [sys.executable, "-c", KILLED, action, str(argument), "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        deaths = 0
        for told in process.stdout:
            line, status = map(int, told.split())
            assert status in (0, -signal.SIGKILL), told
            try:
                check()
            except (BundleError, AssertionError) as error:
                raise AssertionError(f"killed before line {line} of {action}: {error}") from error
            if status == 0:
                break
            deaths += 1
            process.stdin.write("\n")
            process.stdin.flush()
    return deaths


def test_killed_before_any_line_an_installation_leaves_a_whole_version(make: Make, place: Path) -> None:
    install(make("0.9.0"))
    install(make("1.0.0"))
    seen: set[tuple[str, ...]] = set()

    def check() -> None:
        assert_whole(place)
        seen.add(versions(place))

    deaths = killed_at_every_line("install", make("1.1.0"), check)
    assert deaths > 100, deaths
    assert seen == {("1.0.0", "0.9.0"), ("1.1.0", "1.0.0")}
    install(make("1.2.0"))
    assert on_disk(place) == ["tiny", "tiny/1.1.0", "tiny/1.2.0", f"tiny/{POINTER}"], "a change sweeps what was left"


def test_killed_before_any_line_a_rollback_leaves_a_whole_version(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    install(make("1.1.0"))
    assert killed_at_every_line("rollback", "tiny", lambda: (assert_whole(place), None)[1]) > 20
    assert len(versions(place)) == 2


def test_killed_before_any_line_a_removal_leaves_all_or_nothing(make: Make, place: Path) -> None:
    install(make("9.0.0", name=DEFAULT_MODEL))
    seen = set()

    def check() -> None:
        opened = find(DEFAULT_MODEL)
        opened.verify()
        seen.add(opened.manifest.spec.version)

    # The last death comes after the rename; then there is nothing left to remove, which is an error and no death.
    command = [sys.executable, "-c", KILLED, "remove", DEFAULT_MODEL]
    line = 0
    while (place / DEFAULT_MODEL).exists():
        done = subprocess.run([*command, str(line)], input="", capture_output=True, text=True, cwd=ROOT, check=False)
        assert int(done.stdout.split()[1]) in (0, -signal.SIGKILL), done.stderr
        check()
        line += 1 if line < 12 else 3
    assert seen == {"9.0.0", find(Path(SHIPPED, DEFAULT_MODEL)).manifest.spec.version}


def test_killed_before_any_line_mending_never_damages_more(make: Make, place: Path) -> None:
    source, here = make("1.0.0"), place / "tiny" / "1.0.0"
    install(source)
    (here / CARD).write_text("x")

    def check() -> None:
        opened = find("tiny")
        assert opened.content(opened.manifest.files[0])  # the model was whole before, and is at any moment

    assert killed_at_every_line("install", source, check) > 50
    assert_whole(place)


def command(*arguments: object) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "edge_runtime.cli.bundle", *map(str, arguments)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_command_killed_at_random_times_leaves_a_whole_version(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    delays, codes = random.Random(0), []
    for number in range(6):
        with command("install", make(f"1.{number + 1}.0")) as process:
            time.sleep(delays.uniform(0.2, 1.0))
            process.kill()
            process.communicate()
            codes.append(process.returncode)
        assert_whole(place)
    assert set(codes) <= {0, -signal.SIGKILL}


def test_processes_that_install_at_once_take_turns(make: Make, place: Path) -> None:
    sources = [make(version) for version in ("1.0.0", "1.1.0", "1.2.0", "1.0.0")]
    processes = [command("install", "--allow-downgrade", source) for source in sources]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, (out, err)
    assert_whole(place)
    assert len(versions(place)) == 2
    assert on_disk(place) == ["tiny", *sorted(f"tiny/{v}" for v in versions(place)), f"tiny/{POINTER}"]


def test_what_a_killed_process_left_is_swept_and_what_others_put_there_is_not(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    (place / ".work-1-abc").mkdir()
    (place / ".work-1-abc" / "half").write_text("x")
    (place / ".work-2-abc").write_text("x")
    (place / "tiny" / "0.1.0").mkdir()
    for name in ("notes.txt", "tiny/notes.txt"):
        (place / name).write_text("mine")
    install(make("1.1.0"))
    expected = ["notes.txt", "tiny", "tiny/1.0.0", "tiny/1.1.0", f"tiny/{POINTER}", "tiny/notes.txt"]
    assert on_disk(place) == expected


def test_a_half_copy_that_never_became_current_is_replaced(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    shutil.copytree(make("1.1.0", card="Another.\n"), place / "tiny" / "1.1.0")
    (place / "tiny" / "1.1.0" / MODEL).unlink()
    assert assert_whole(place) == "1.0.0"
    assert install(make("1.1.0")).outcome is InstallOutcome.INSTALLED
    assert assert_whole(place) == "1.1.0"
