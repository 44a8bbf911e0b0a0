"""Start and end of a command: no garbage collection while it imports, and no freeing of objects at its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STARTED = """
import atexit, gc, json, sys
from edge_runtime.cli.start import run
early = []
gc.callbacks.append(lambda phase, info: None if gc.get_freeze_count() else early.append(phase))
atexit.register(lambda: print(json.dumps([early, gc.isenabled(), gc.get_freeze_count()])))
sys.argv = ["edge-predict", "--version"]
run()
"""

ENDED = """
import sys
from edge_runtime.cli.start import run
{before}
sys.argv = ["edge-predict", "{option}"]
run()
"""
CLEANED = "# cleanup[3] wiping builtins"
"""Part of what ``python -v`` prints when the interpreter frees its modules."""


def ended(option: str, before: str = "", **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command with one option, after ``before``; stderr contains what ``python -v`` prints."""
    command = [sys.executable, "-v", "-c", ENDED.format(before=before, option=option)]
    return subprocess.run(
        command, **{"stdout": subprocess.PIPE, **more}, stderr=subprocess.PIPE, text=True, check=False
    )


def test_nothing_is_collected_before_the_imports_are_done_and_frozen() -> None:
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True)
    early, is_enabled, frozen = json.loads(done.stdout.splitlines()[-1])
    assert early == [] and is_enabled and frozen > 10_000


@pytest.mark.parametrize("option, status", [("--version", 0), ("--no-such-option", 2), ("no-such-image.png", 1)])
def test_modules_are_not_freed_at_the_end_and_status_and_output_are_whole(option: str, status: int) -> None:
    done = ended(option)
    assert done.returncode == status and CLEANED not in done.stderr
    told = {0: "version", 1: "image_not_found", 2: "Usage"}[status]
    assert told in done.stdout + done.stderr


@pytest.mark.parametrize(
    "before",
    [
        "import atexit; atexit.register(print, 'waited')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.5), print('waited'))).start()",
    ],
    ids=["a registered function", "another thread"],
)
def test_what_waits_for_the_end_gets_it(before: str) -> None:
    done = ended("--version", before)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "waited" and CLEANED in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_output_that_cannot_be_written_has_the_ordinary_end() -> None:
    with Path("/dev/full").open("w") as full:
        done = ended("--version", stdout=full)
    assert done.returncode != 0 and "No space left" in done.stderr
