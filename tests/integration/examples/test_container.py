"""The Containerfile: who runs, what is copied, and a health check that a real service passes.

With ``EDGE_TEST_BASE``, the name of a local image with this Python and its venv, and with buildah, it is built too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

CONTAINERFILE = ROOT / "Containerfile"
KNOWN = {"ARG", "FROM", "COPY", "RUN", "ENV", "USER", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
SOCKET = "/run/edge/edge.sock"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions and their arguments, with continued lines joined."""
    lines = [line for line in CONTAINERFILE.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    found = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name, argument.strip()) for name, argument in found]


def arguments(name: str) -> list[str]:
    return [argument for each, argument in instructions() if each == name]


def health_check() -> list[str]:
    (check,) = arguments("HEALTHCHECK")
    command: list[str] = json.loads(check[check.index("CMD") + 3 :])
    return command


def test_it_has_two_stages_and_only_known_instructions() -> None:
    assert {name for name, _ in instructions()} == KNOWN  # no EXPOSE, no ADD from an address
    assert arguments("FROM") == ["${BASE} AS build", "${BASE}"]
    assert arguments("ARG")[0].startswith("BASE=docker.io/library/python:3.13-slim-")
    last = max(i for i, (name, _) in enumerate(instructions()) if name == "FROM")
    assert [argument for name, argument in instructions()[last:] if name == "COPY"] == [
        "--from=build /opt/edge /opt/edge"
    ]


def test_it_is_not_root_and_stops_as_the_service_expects() -> None:
    assert arguments("USER") == ["10001:10001"]
    assert arguments("STOPSIGNAL") == ["SIGTERM"]
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")


def test_only_the_wheels_are_copied_from_the_checkout() -> None:
    assert arguments("COPY")[0] == "wheels /wheels"
    assert (ROOT / ".containerignore").read_text("utf-8").split() == ["*", "!wheels"]


def test_the_wheel_is_named_by_its_file() -> None:
    """An index may hold another package of this name."""
    (install,) = [run for run in arguments("RUN") if "pip install" in run]
    assert '"$(ls /wheels/edge_predict-*.whl)[serve]"' in install
    assert "--only-binary=:all:" in install
    assert "edge-predict" not in install


@pytest.mark.parametrize("which", [0, 1])
def test_the_shell_accepts_its_commands(which: int) -> None:
    done = subprocess.run(["sh", "-n", "-c", arguments("RUN")[which]], capture_output=True, text=True, check=False)
    assert (done.returncode, len(arguments("RUN"))) == (0, 2), done.stderr


def test_the_entry_point_exists_and_listens_on_the_socket_alone() -> None:
    (entry,), (command,) = arguments("ENTRYPOINT"), arguments("CMD")
    assert json.loads(entry) == ["edge-serve", "--uds", SOCKET]
    assert (ROOT / "edge_runtime" / "bundles" / json.loads(command)[0]).is_dir()


def test_the_health_check_passes_where_the_service_runs_and_fails_elsewhere(socket: Path, tmp_path: Path) -> None:
    python, option, program = health_check()
    assert (python, option, program.count(SOCKET)) == ("python3", "-c", 1)
    for place, passes in ((socket, True), (tmp_path / "nothing", False)):
        command = [sys.executable, "-c", program.replace(SOCKET, str(place))]
        assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) is passes


@pytest.mark.slow
def test_it_builds_without_a_network(tmp_path: Path) -> None:
    base = os.environ.get("EDGE_TEST_BASE")
    if base is None or shutil.which("buildah") is None:
        pytest.skip("needs buildah, and EDGE_TEST_BASE with the name of a local image of this Python")
    wheels = tmp_path / "wheels"
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    assert subprocess.run(wheel, check=False).returncode == 0
    (built,) = wheels.glob("edge_predict-*.whl")
    download = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--dest", str(wheels)]
    assert subprocess.run([*download, f"{built}[serve]"], check=False).returncode == 0
    for name in ("Containerfile", ".containerignore"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    given = ["--format", "docker", "--build-arg", f"BASE={base}", "--build-arg", "PIP_NO_INDEX=1"]
    build = ["buildah", "bud", "-q", *given, "-t", "edge-serve-test", str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
