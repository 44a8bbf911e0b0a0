"""What a person sees: a counter, a bar and the time left on a terminal, and nothing of it in a pipe."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyte
import pytest

from tests.integration.archive.conftest import Site

COLUMNS = 80


def on_terminal(site: Site, *arguments: object) -> tuple[list[list[str]], int]:
    """Run the command on a terminal. Return the screens that a person saw, one after the other, and the status."""
    here, there = pty.openpty()
    environment = {**site.environment, "COLUMNS": str(COLUMNS), "LINES": "10", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_runtime.cli.predict", *map(str, arguments)],
        cwd=site.folder,
        env=environment,
        stdin=there,
        stdout=there,
        stderr=there,
    )
    os.close(there)
    screen = pyte.Screen(COLUMNS, 10)
    stream, screens = pyte.ByteStream(screen), []
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(here, 4096):
            stream.feed(data)
            screens.append([line.rstrip() for line in screen.display if line.strip()])
    os.close(here)
    return screens, process.wait(timeout=60)


def test_a_run_shows_a_bar_with_the_time_left_and_ends_with_the_counts(
    site: Site, phantom_bundle: Path, many: Callable[[int], Path]
) -> None:
    archive = site.folder / "archive"
    screens, status = on_terminal(
        site, "archive", "plan", many(6000), "--out", "archive", "--model", phantom_bundle, "--shard-size", 200
    )
    assert status == 0
    assert any(re.fullmatch(r"found \d+ images", line) for screen in screens for line in screen)
    assert screens[-1] == ["archive: 6000 images in 30 shards, phantom-patch."], "the counter is gone"
    screens, status = on_terminal(site, "archive", "run", archive.name, "--workers", 2)  # click knows after a second
    bars = [screen[0] for screen in screens if screen and screen[0].startswith("scoring")]
    assert status == 1 and bars
    assert re.fullmatch(r"scoring  \[-+\]    0%", bars[0])
    assert re.fullmatch(r"scoring  \[#+\]  100%", bars[-1])
    assert [bar for bar in bars if re.fullmatch(r"scoring  \[#+-+\] +\d+%  \d\d:\d\d:\d\d", bar)], "the time left"
    shares = [int(found.group(1)) for bar in bars if (found := re.search(r"(\d+)%", bar))]
    assert shares == sorted(shares) and len(set(shares)) > 5
    assert max(map(len, bars)) <= COLUMNS
    assert screens[-1][1:] == ["archive: 30 of 30 shards finished; 5940 answered, 60 failed, 0 missing."]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_pipe_gets_lines_alone(command: str, site: Site, phantom_bundle: Path, many: Callable[[int], Path]) -> None:
    _, out, err = site.call(
        "archive", "plan", many(30), "--out", "archive", "--model", phantom_bundle, "--shard-size", 10
    )
    if command == "run":
        _, out, err = site.call("archive", "run", "archive", "--workers", 1)
    assert out == [] and len(err.splitlines()) == 1
    assert err.startswith("archive: ") and "\r" not in err and "\033" not in err and "%" not in err
