"""The commands of the Raspberry Pi tutorial, as they stand there: a device is installed without an index."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

PAGE = ROOT / "docs" / "tutorials" / "raspberry-pi.md"
HERE = f"py{sys.version_info.major}{sys.version_info.minor}"
LIST = ROOT / "docs" / "constraints" / f"x86_64-litert-{HERE}.txt"
OFFLINE = {"PIP_NO_INDEX": "1", "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


def commands(name: str, page: Path = PAGE) -> str:
    """The shell block after ``<!-- name -->``."""
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```\n<!-- end -->", page.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{page.name} has no commands {name}"
    return found[1]


def shell(script: str, place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a block in ``place`` with this Python as ``python3``."""
    tools = place / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "python3").unlink(missing_ok=True)
    (tools / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="ascii")
    (tools / "python3").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    if importlib.util.find_spec("hatchling") is not None:
        environment["PIP_NO_BUILD_ISOLATION"] = "0"  # pip reads this as its option, whose value is the isolation
    environment |= {"PATH": f"{tools}:{environment['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    command = ["bash", "-euc", script]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=900)


def downloaded(block: str, place: Path) -> None:
    """Run a download block in a folder that holds the checkout; skip where no index can be reached."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith("."):
            (place / entry.name).symlink_to(entry)
    done = shell(block, place)
    if done.returncode and re.search(
        r"No matching distribution|Could not find a version|ConnectionError|Retrying", done.stderr
    ):
        pytest.skip(f"no package index can be reached from here: {done.stderr.strip().splitlines()[-1][:200]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the commands that are run whole are those for x86-64")
@pytest.mark.skipif(not LIST.is_file(), reason=f"there is no list for {HERE}")
def test_a_device_is_installed_from_the_folder_and_answers(place: Path) -> None:
    block = commands("download x86_64")
    assert block.startswith("KIND=x86_64-litert-py311\n")
    own = block.replace("py311", HERE).replace("--python-version 3.11", f"--python-version {HERE[2]}.{HERE[3:]}")
    downloaded(own, place)
    done = shell(commands("install"), place, **OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No broken requirements found." in done.stdout
    answer = shell('edge/bin/edge-predict "$IMAGE"', place, IMAGE=str(ROOT / "docs" / "phantom.png"))
    assert re.search(r"^decision  POSITIVE$", answer.stdout, re.MULTILINE), answer.stdout + answer.stderr
    _assert_an_altered_wheel_is_refused(place)


def _assert_an_altered_wheel_is_refused(place: Path) -> None:
    (wheel,) = (place / "device").glob("click-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    done = shell(
        commands("install").replace("edge", "other").replace("other_predict", "edge_predict"), place, **OFFLINE
    )
    assert done.returncode != 0
    assert wheel.name in done.stdout + done.stderr
    (line,) = [line for line in commands("install").splitlines() if "--require-hashes" in line]
    done = shell(
        line.replace("edge/bin/python -m pip install", "python3 -m pip install --dry-run -I"), place, **OFFLINE
    )
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_the_folder_for_64_bit_arm_is_whole(place: Path) -> None:
    downloaded(commands("download aarch64"), place)
    listed = [line for line in (place / "device" / "requirements.txt").read_text().splitlines() if "==" in line]
    assert len(list((place / "device").glob("*.whl"))) == len(listed) + 1
    done = shell(commands("rehearse aarch64"), place, **OFFLINE)
    assert done.returncode == 0, done.stderr
    native = list((place / "rehearsal").rglob("*.so"))
    assert native
    for path in native:
        assert path.read_bytes()[18:20] == b"\xb7\x00", f"{path.name} is not for aarch64 (ELF e_machine 183)"


def test_eight_platforms_are_named() -> None:
    for machine in ("x86_64", "aarch64"):
        tags = re.findall(r"--platform (\S+)", commands(f"download {machine}"))
        assert len(tags) == len(set(tags)) == 8
        assert all(tag.endswith(f"_{machine}") for tag in tags)
