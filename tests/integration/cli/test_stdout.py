"""A stdout that is closed, full or left by its reader is status 5, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

PREDICT, BUNDLE = "edge_runtime.cli.predict", "edge_runtime.cli.bundle"


def in_shell(redirection: str, module: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run a command as ``sh`` starts it with a redirection such as ``>&-``."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, timeout=120, cwd=ROOT)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


@pytest.mark.parametrize("redirection", [">&-", "1</dev/null", ">&- <&-"])
@pytest.mark.parametrize("style", [(), ("--json",), ("--csv",), ("--tiles",)])
def test_a_closed_stdout_is_noticed_before_anything_is_answered(
    redirection: str, style: tuple[str, ...], phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    done = in_shell(redirection, PREDICT, "--model", phantom_bundle, *style, phantom_patches[0])
    assert done.returncode == 5
    assert done.stderr.startswith(b"error [output]: stdout: found it closed, expected a file, pipe or terminal.")
    assert done.stderr.count(b"\n") == 1


def test_a_closed_stdout_is_noticed_before_the_model_is_opened() -> None:
    assert in_shell(">&-", PREDICT, "--model", "no-such-model", "a.png").returncode == 5
    assert in_shell("", PREDICT, "--model", "no-such-model", "a.png").returncode == 3


@pytest.mark.parametrize(
    "module, arguments",
    [
        (PREDICT, ["--help"]),
        (PREDICT, ["--version"]),
        (BUNDLE, ["list"]),
        (BUNDLE, ["--help"]),
        (BUNDLE, ["info", "-h"]),
    ],
)
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_whatever_a_command_prints(redirection: str, module: str, arguments: list[str]) -> None:
    done = in_shell(redirection, module, *arguments)
    assert done.returncode == 5
    assert done.stderr.startswith(b"error [output]: stdout: ")


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_a_results_file_needs_no_stdout_and_is_written_by_nobody_else(
    redirection: str, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    """The first file that is opened would be stdout, and interpreters print there."""
    place = tmp_path / "results.jsonl"
    done = in_shell(redirection, PREDICT, "--model", phantom_bundle, *phantom_patches[:2], "--output", place)
    assert done.returncode == 0
    assert [json.loads(line)["image"] for line in place.read_text().splitlines()] == [*map(str, phantom_patches[:2])]


OPENED = """
import os, sys
from edge_runtime.cli.bundle import main
try:
    main(["info", "-h"])
except SystemExit:
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
    os.write(file, str(file).encode())
"""


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_no_file_that_is_opened_later_becomes_a_standard_stream(redirection: str, tmp_path: Path) -> None:
    place = tmp_path / "number"
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", OPENED, str(place)]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=ROOT)
    assert int(place.read_text()) > 2


def test_a_closed_stderr_costs_no_answer(phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    for redirection in ("2>&-", "2>/dev/full"):
        done = in_shell(redirection, PREDICT, "--model", phantom_bundle, "--json", phantom_patches[0], "missing.png")
        assert (done.returncode, done.stdout.count(b"\n")) == (1, 2)


@pytest.mark.parametrize("module, arguments", [(PREDICT, ["--json"]), (BUNDLE, ["list"])])
def test_a_reader_that_has_gone_ends_it_in_silence_with_5(
    module: str, arguments: list[str], phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    images = ["--model", phantom_bundle, *phantom_patches[:3]] if module == PREDICT else []
    command = [sys.executable, "-m", module, *arguments, *map(str, images)]
    reading, writing = os.pipe()
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, cwd=ROOT) as process:
        os.close(reading)
        os.close(writing)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 5
