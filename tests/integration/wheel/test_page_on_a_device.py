"""The commands of the page on a Raspberry Pi with edge-serve, as they stand there, below another folder than /opt."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.wheel.test_installing import HERE, OFFLINE, downloaded, shell
from tests.integration.wheel.test_installing import commands as commands_of
from tests.places import ROOT

PAGE = ROOT / "docs" / "how-to" / "raspberry-pi.md"
VERSION = f"{HERE[2]}.{HERE[3:]}"
ASKED = """\
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.settimeout(30)
connection.sock.connect(sys.argv[1])
connection.request("POST" if sys.argv[2:] else "GET", "/v1/predict" if sys.argv[2:] else "/",
                   open(sys.argv[2], "rb").read() if sys.argv[2:] else None)
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""


def commands(name: str) -> str:
    return commands_of(name, PAGE)


def asked(socket: Path, *image: Path) -> str:
    """Ask the service at ``socket`` with the installed Python: for the page, or for an answer to an image."""
    python = str(socket.parent / "opt" / "edge" / "bin" / "python")
    end = time.monotonic() + 60
    while True:
        command = [python, "-c", ASKED, str(socket), *map(str, image)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if (done.returncode == 0 and not done.stdout.startswith("503")) or time.monotonic() > end:
            return done.stdout + done.stderr
        time.sleep(0.3)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="wheels for this processor are downloaded for x86-64")
@pytest.mark.skipif(
    not (ROOT / "docs" / "constraints" / f"x86_64-serve-{HERE}.txt").is_file(), reason=f"there is no list for {HERE}"
)
def test_a_device_is_installed_updated_and_taken_back(tmp_path: Path) -> None:
    block = commands("download")
    assert block.startswith("MACHINE=aarch64\n")
    own = block.replace("aarch64", "x86_64", 1).replace("py311", HERE).replace("3.11", VERSION)
    downloaded(own, tmp_path)
    opt = tmp_path / "opt"
    opt.mkdir()
    install = commands("install").replace("/opt", str(opt))
    done = shell(install, tmp_path, **OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No broken requirements found." in done.stdout
    read = shell(commands("certificate").replace("/opt", str(opt)), tmp_path)
    lines = read.stdout.splitlines()
    assert re.match(r"passed on .* \d{4}-\d\d-\d\dT", lines[0]), read.stdout + read.stderr
    assert all(line.startswith("passed ") for line in lines[1:-1]) and lines[-1].startswith("not run: ")

    service = [str(opt / "edge" / "bin" / "edge-serve"), "idc-patch-compact", "--uds", str(tmp_path / "s")]
    with subprocess.Popen(service, stderr=subprocess.DEVNULL) as process:
        try:
            assert asked(tmp_path / "s").startswith("200 <!")
            answer = asked(tmp_path / "s", ROOT / "docs" / "phantom.png")
        finally:
            process.terminate()
    status, _, line = answer.partition(" ")
    assert (status, json.loads(line)["decision"]) == ("200", "POSITIVE")

    done = shell(install.replace("edge-1", "edge-2"), tmp_path, **OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (opt / "edge").resolve().name == "edge-2"
    done = shell(commands("back").replace("/opt", str(opt)), tmp_path)
    assert (done.returncode, (opt / "edge").resolve().name) == (0, "edge-1")


def test_the_folder_for_64_bit_arm_holds_every_wheel(tmp_path: Path) -> None:
    downloaded(commands("download"), tmp_path)
    listed = [line for line in (tmp_path / "device" / "requirements.txt").read_text().splitlines() if "==" in line]
    assert len(list((tmp_path / "device").glob("*.whl"))) == len(listed) + 1
    assert any(line.startswith("uvicorn==") for line in listed)


def test_systemd_accepts_the_file_of_the_device(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    (text,) = re.findall(r"^```\n(\[Service\]\n.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    folder = tmp_path / "edge-serve.service.d"
    folder.mkdir()
    (folder / "here.conf").write_text(text.replace("/opt/edge/bin/edge-serve", "/bin/true"))
    unit = tmp_path / "edge-serve.service"
    unit.write_text("[Service]\nExecStart=/usr/bin/absent\n")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
