"""Plugin for Orthanc: posts each stored image to edge-serve, and stores the report and the heatmap that come back.

Save this file (``edge-dicom orthanc-plugin > edge.py``) and name it in Orthanc's configuration::

    "PythonScript": "/etc/orthanc/edge.py",
    "EdgePredict": {"Url": "http://127.0.0.1:8000"}

It needs Orthanc's Python plugin and Python's standard library, nothing else. Its queue is Orthanc's own list of
changes: the number of the last change that was worked off is in a small file. So a restart of either side loses
nothing, and the memory in use does not grow with the queue. docs/how-to/dicom-archive.md explains the settings.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import orthanc

MANUFACTURER = "edge-predict"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
LOOK_S = 10.0
PAGE = 100
MOST_ATTEMPTS = 5
"""Attempts on an image for which the service fails (500); then the image is left out, and the log says so."""

_FOR_EVER = (401, 403, 404, 408, 421, 429, 501, 502, 503, 504)
"""Statuses that say nothing of the image: the service is busy, starting or set up wrongly."""


class NotNowError(Exception):
    """The service or Orthanc does not work at present; the same image is tried again."""


@dataclass(frozen=True)
class Settings:
    """The section ``EdgePredict`` of Orthanc's configuration.

    Attributes:
        url: ``http://host:port``, ``https://host:port`` or ``unix:/path/of/socket``.
        models: names of models that each image is posted to; empty for the service's default one.
        token: bearer token of the service; empty if it needs none.
        authority: file of the authority of its certificate; empty for the system's.
        state: file with the number of the last change that was worked off.
        heatmap: whether heatmaps are wanted.
        timeout_s: longest wait for an answer, in seconds.
    """

    url: str
    models: tuple[str, ...]
    token: str
    authority: str
    state: str
    heatmap: bool
    timeout_s: float

    @classmethod
    def read(cls, configuration: dict[str, object]) -> Settings:
        """Read the section; every key has a default."""
        given = configuration.get("EdgePredict", {})
        section: dict[str, object] = given if isinstance(given, dict) else {}
        folder = str(configuration.get("StorageDirectory", "."))
        models = section.get("Models", [])
        return cls(
            url=str(section.get("Url", "http://127.0.0.1:8000")),
            models=tuple(map(str, models)) if isinstance(models, list) else (),
            token=_token(str(section.get("TokenFile", ""))),
            authority=str(section.get("TlsAuthority", "")),
            state=str(section.get("StateFile", os.path.join(folder, "edge-predict.json"))),
            heatmap=bool(section.get("Heatmap", True)),
            timeout_s=float(str(section.get("TimeoutSeconds", 60))),
        )


def _token(path: str) -> str:
    if not path:
        return ""
    with open(path, encoding="ascii") as file:
        return file.read().strip()


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Service:
    """The endpoint ``POST /v1/dicom`` of edge-serve, over one connection that is kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: http.client.HTTPConnection | None = None

    def post(self, image: bytes, model: str | None) -> tuple[int, list[bytes]]:
        """Post an image; return status and results.

        Raises:
            NotNowError: the service does not answer.
        """
        query = "?heatmap=" + ("1" if self._settings.heatmap else "0")
        query += "" if model is None else "&model=" + quote(model, safe="")
        headers = {"Content-Type": "application/dicom", "Accept": 'multipart/related; type="application/dicom"'}
        if self._settings.token:
            headers["Authorization"] = "Bearer " + self._settings.token
        try:
            connection = self._kept = self._kept or self._opened()
            connection.request("POST", "/v1/dicom" + query, image, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise NotNowError("no_answer") from None
        if answer.will_close:
            self.close()
        if answer.status != 200:
            return answer.status, []
        return 200, parts_of(body, answer.headers.get("Content-Type", ""))

    def close(self) -> None:
        """Close the connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _opened(self) -> http.client.HTTPConnection:
        url, timeout = self._settings.url, self._settings.timeout_s
        if url.startswith("unix:"):
            return UnixConnection(url[len("unix:") :], timeout)
        found = urlsplit(url)
        if found.scheme == "https":
            context = ssl.create_default_context(cafile=self._settings.authority or None)
            return http.client.HTTPSConnection(found.hostname or "", found.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(found.hostname or "", found.port, timeout=timeout)


def parts_of(body: bytes, content_type: str) -> list[bytes]:
    """Return the parts of a ``multipart/related`` body (RFC 2387), each with its ``Content-Length``.

    Raises:
        NotNowError: the body is incomplete.
    """
    fields = [field.strip() for field in content_type.split(";")]
    boundary = next((field[9:].strip('"') for field in fields if field.startswith("boundary=")), "")
    mark = b"--" + boundary.encode("ascii")
    if not boundary or not body.rstrip(b"\r\n").endswith(mark + b"--"):
        raise NotNowError("incomplete")
    parts, at = [], 0
    while body[at : at + len(mark) + 2] == mark + b"\r\n":
        head_end = body.index(b"\r\n\r\n", at) + 4
        head = body[at + len(mark) + 2 : head_end].decode("ascii").lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in head if line.startswith("content-length:"))
        parts.append(body[head_end : head_end + length])
        at = head_end + length + 2
    return parts


class Position:
    """The number of the last change that was worked off, in a file that is replaced atomically."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.last = 0
        with suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="ascii") as file:
            self.last = int(json.load(file)["last"])

    def move(self, last: int) -> None:
        """Store a number."""
        if last == self.last:
            return
        part = f"{self._path}.part"
        with open(part, "w", encoding="ascii") as file:
            json.dump({"last": last}, file)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(self._path)
        self.last = last


class Worker:
    """Works off Orthanc's changes in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._service = Service(settings)
        self._position = Position(settings.state)
        self._attempts = 0
        self._stopped, self.wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-predict", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the image at hand."""
        self._stopped.set()
        self.wake.set()
        self._thread.join(self._settings.timeout_s)

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopped.is_set():
            self.wake.clear()
            try:
                more = self._page()
                pause = FIRST_PAUSE_S
                if not more:
                    self.wake.wait(LOOK_S)
            except Exception as error:  # the thread must not end; texts of errors are not shown
                reason = str(error) if isinstance(error, NotNowError) else type(error).__name__
                orthanc.LogWarning(f"edge-predict: next attempt in {pause:g} s ({reason})")
                self._stopped.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def _page(self) -> bool:
        """Work off some changes; return whether there are more."""
        found = _get(f"/changes?since={self._position.last}&limit={PAGE}")
        changes = found["Changes"]
        if not changes and int(found["Last"]) < self._position.last:
            self._position.move(0)  # another database: from the beginning
            return True
        for change in changes:
            if self._stopped.is_set():
                return False
            if change["ChangeType"] == "NewInstance":
                self._answer(str(change["ID"]))
                self._position.move(int(change["Seq"]))
                self._attempts = 0
        if changes:  # without any, Last may be of a change that came after the list was made
            self._position.move(int(changes[-1]["Seq"]))
        return not found["Done"]

    def _answer(self, instance: str) -> None:
        if not _exists(instance) or _is_no_image(instance):
            return
        image = orthanc.RestApiGet(f"/instances/{instance}/file")
        for model in self._settings.models or (None,):
            status, results = self._service.post(image, model)
            if status == 200:
                for result in results:
                    orthanc.RestApiPost("/instances", result)
            elif status in _FOR_EVER or (status >= 500 and self._attempts < MOST_ATTEMPTS):
                self._attempts += status not in _FOR_EVER
                raise NotNowError(f"status {status}")
            elif status != 204:
                orthanc.LogWarning(f"edge-predict: instance {instance} has no report (status {status})")


def _exists(instance: str) -> bool:
    with suppress(orthanc.OrthancException):
        orthanc.RestApiGet(f"/instances/{instance}")
        return True
    _get("/system")  # Orthanc itself answers: the instance was deleted
    return False


def _is_no_image(instance: str) -> bool:
    """Return whether an instance is a report, or a heatmap of this package."""
    sop_class = orthanc.RestApiGet(f"/instances/{instance}/metadata/SopClassUid").decode("ascii").strip("\0 ")
    if sop_class.startswith(STRUCTURED_REPORTS):
        return True
    if sop_class != SECONDARY_CAPTURE:
        return False
    with suppress(orthanc.OrthancException):  # it has no manufacturer
        found: bytes = orthanc.RestApiGet(f"/instances/{instance}/content/0008-0070")
        return found.decode("ascii", "replace").strip("\0 ") == MANUFACTURER
    return False


def _get(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(orthanc.RestApiGet(path))
    return found


WORKER = Worker(Settings.read(json.loads(orthanc.GetConfiguration())))


def _on_change(change: int, level: int, resource: str) -> None:
    if change == orthanc.ChangeType.ORTHANC_STARTED:
        WORKER.start()
    elif change == orthanc.ChangeType.ORTHANC_STOPPED:
        WORKER.stop()
    elif change == orthanc.ChangeType.NEW_INSTANCE:
        WORKER.wake.set()


orthanc.RegisterOnChangeCallback(_on_change)
