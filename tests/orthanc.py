"""Debian's Orthanc in a process of its own, with its plugins for Python and DICOMweb; tests skip without it."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path("/usr/share/orthanc/plugins")
LIBRARIES = ("libOrthancPython.so", "libOrthancDicomWeb.so")
TITLE = "ORTHANC"
START_S = 60


def orthanc_program() -> str:
    """Return the program's path; skip the test if it or a plugin is missing."""
    path = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if path is None or not all((PLUGINS / name).is_file() for name in LIBRARIES):
        pytest.skip("Orthanc is missing: apt-get install orthanc orthanc-python orthanc-dicomweb")
    return path


def debian(program: str) -> str:
    """Return the path of a program of dcmtk or dicom3tools; skip the test if it is missing.

    The environment's own folder is left out: pynetdicom installs other programs as ``storescu`` and ``echoscu``.
    """
    path = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin")
    if path is None:
        pytest.skip(f"{program} is missing: apt-get install dcmtk dicom3tools")
    return path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Orthanc:
    """A running Orthanc; :meth:`kill` and :meth:`start` keep its storage."""

    folder: Path
    settings: dict[str, Any]
    http: int
    dicom: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / "orthanc.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def start(self) -> None:
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self.settings), "utf-8")
        with self.log.open("ab") as log:
            command = [orthanc_program(), "--verbose", str(path)]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        end = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError):
                self.get("/system")
                return
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text("utf-8", "replace")[
                -3000:
            ]
            time.sleep(0.05)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return json.loads(answer.read())

    def get_bytes(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            found: bytes = answer.read()
            return found

    def put(self, path: str, content: bytes) -> None:
        request = urllib.request.Request(f"{self.url}{path}", content, method="PUT")
        urllib.request.urlopen(request, timeout=30).close()

    def post(self, path: str, content: bytes) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", content, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def tags(self, modality: str | None = None) -> list[dict[str, str]]:
        """Return the tags of all instances, of a modality of their series if one is given."""
        query = {"Level": "Instance", "Query": {} if modality is None else {"Modality": modality}, "Expand": True}
        found = self.post("/tools/find", json.dumps(query).encode())
        return [self.get(f"/instances/{each['ID']}/simplified-tags") for each in found]


@contextlib.contextmanager
def orthanc(folder: Path, **settings: Any) -> Iterator[Orthanc]:
    """Start Orthanc on free ports with an empty storage, and stop it at the end."""
    orthanc_program()
    folder.mkdir(parents=True, exist_ok=True)
    http, dicom = free_port(), free_port()
    base = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": TITLE,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StableAge": 1,
        "Plugins": [str(PLUGINS / name) for name in LIBRARIES],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "OverwriteInstances": False,
    }
    running = Orthanc(folder, base | settings, http, dicom)
    try:
        running.start()
        yield running
    finally:
        running.stop()
