"""Plugin for Orthanc: posts each stored image to edge-serve, and stores the report and the heatmap that come back.

Save this file (``edge-dicom orthanc-plugin > edge.py``) and name it in Orthanc's configuration::

    "PythonScript": "/etc/orthanc/edge.py",
    "EdgePredict": {"Url": "http://127.0.0.1:8000"}

It needs Orthanc's Python plugin and Python's standard library, nothing else. Its queue is Orthanc's own list of
changes: the number of the last change that was worked off is in a small file. So a restart of either side loses
nothing, and the memory in use does not grow with the queue. An image without the circle that its model needs is noted
in that file, and posted again with the presentation states and reports of its study when one of these is stored.
docs/how-to/dicom-archive.md explains the settings.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import orthanc

MANUFACTURER = "edge-predict"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MARKING = ("1.2.840.10008.5.1.4.1.1.11.", "1.2.840.10008.5.1.4.1.1.88.")
"""Beginnings of the SOP classes of presentation states and structured reports."""

MODALITIES = ("PR", "SR")
"""Modalities of their series."""

MARK_MISSING = "dicom_mark_missing"
MOST_MARKS = 100
"""Largest number of presentation states and reports that are posted with an image."""

MOST_UNMARKED = 10_000
"""Largest number of images that wait for a circle; then the oldest one gets a refusal."""

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
        timeout_s: longest wait for an answer, in seconds; for a clip, a second for each frame comes on top.
        mark_s: longest time that an image waits for a circle before it gets a refusal, in seconds.
    """

    url: str
    models: tuple[str, ...]
    token: str
    authority: str
    state: str
    heatmap: bool
    timeout_s: float
    mark_s: float

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
            mark_s=float(str(section.get("MarkHours", 24))) * 3600,
        )


def _token(path: str) -> str:
    if not path:
        return ""
    with open(path, encoding="ascii") as file:
        return file.read().strip()


@dataclass(frozen=True)
class Study:
    """An image and the presentation states and reports that may mark it, as files; ``frames`` of the image."""

    image: bytes
    marks: tuple[bytes, ...] = ()
    frames: int = 1

    def body(self) -> tuple[bytes, str]:
        """Return the body of a request and its media type."""
        if not self.marks:
            return self.image, "application/dicom"
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        parts = b"".join(head + part + b"\r\n" for part in (self.image, *self.marks))
        return parts + f"--{boundary}--\r\n".encode(
            "ascii"
        ), f'multipart/related; type="application/dicom"; boundary={boundary}'


@dataclass(frozen=True)
class Answer:
    """An answer of the service: its status, the results, and whether there are none for lack of a circle."""

    status: int
    results: tuple[bytes, ...] = ()
    lacks_mark: bool = False


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

    def post(self, study: Study, model: str | None, *, waits: bool) -> Answer:
        """Post an image with its marks; all frames of a clip are one case.

        Args:
            study: the image and what may mark it.
            model: name of a model; None for the service's default one.
            waits: whether a refusal for lack of a circle is not wanted yet.

        Raises:
            NotNowError: the service does not answer.
        """
        query = "?frame=all&heatmap=" + ("1" if self._settings.heatmap else "0") + ("&unmarked=wait" if waits else "")
        query += "" if model is None else "&model=" + quote(model, safe="")
        body, kind = study.body()
        headers = {"Content-Type": kind, "Accept": 'multipart/related; type="application/dicom"'}
        if self._settings.token:
            headers["Authorization"] = "Bearer " + self._settings.token
        try:
            connection = self._kept = self._kept or self._opened()
            connection.timeout = self._settings.timeout_s + (study.frames if study.frames > 1 else 0)
            if connection.sock is not None:
                connection.sock.settimeout(connection.timeout)
            connection.request("POST", "/v1/dicom" + query, body, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise NotNowError("no_answer") from None
        if answer.will_close:
            self.close()
        if answer.status != 200:
            return Answer(answer.status, lacks_mark=_code(body) == MARK_MISSING)
        return Answer(200, parts_of(body, answer.headers.get("Content-Type", "")))

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


def _code(body: bytes) -> str:
    """Return the code of an error of the service; empty if there is none."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["code"])
    return ""


def parts_of(body: bytes, content_type: str) -> tuple[bytes, ...]:
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
    return tuple(parts)


class State:
    """What was worked off, in a file that is replaced atomically.

    Attributes:
        last: number of the last change that was worked off.
        unmarked: images that wait for a circle: instance → its study, and the time when it began to wait.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.last = 0
        self.unmarked: dict[str, tuple[str, float]] = {}
        with suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="ascii") as file:
            stored = json.load(file)
            self.last = int(stored["last"])
            self.unmarked = {str(each): (str(study), float(at)) for each, (study, at) in stored["unmarked"].items()}
        self._stored = self._content()

    def move(self, last: int) -> None:
        """Store a number, and which images wait."""
        self.last = last
        content = self._content()
        if content == self._stored:
            return
        part = f"{self._path}.part"
        with open(part, "w", encoding="ascii") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(self._path)
        self._stored = content

    def over(self, most_s: float) -> list[str]:
        """Return the images that wait longer than ``most_s`` seconds, and the oldest ones beyond the limit."""
        by_age = sorted(self.unmarked, key=lambda each: self.unmarked[each][1])
        late = [each for each in by_age if time.time() - self.unmarked[each][1] >= most_s]
        return by_age[: max(len(late), len(by_age) - MOST_UNMARKED)]

    def _content(self) -> str:
        return json.dumps({"last": self.last, "unmarked": self.unmarked})


class Worker:
    """Works off Orthanc's changes in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._service = Service(settings)
        self._state = State(settings.state)
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
                self._give_up_waiting()
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
        found = _get(f"/changes?since={self._state.last}&limit={PAGE}")
        changes = found["Changes"]
        if not changes and int(found["Last"]) < self._state.last:
            self._state.move(0)  # another database: from the beginning
            return True
        for change in changes:
            if self._stopped.is_set():
                return False
            if change["ChangeType"] == "NewInstance":
                self._answer(str(change["ID"]))
                self._state.move(int(change["Seq"]))
                self._attempts = 0
        if changes:  # without any, Last may be of a change that came after the list was made
            self._state.move(int(changes[-1]["Seq"]))
        return not found["Done"]

    def _answer(self, instance: str) -> None:
        """Answer an image; with a mark, answer the images of its study that wait for one."""
        if not _exists(instance):
            return
        sop_class = _sop_class(instance)
        if not sop_class.startswith(MARKING):
            if sop_class != SECONDARY_CAPTURE or not _is_ours(instance):
                self._image(instance, waits=True)
        elif self._state.unmarked and not _is_ours(instance):
            study = _study(instance)
            for each in [one for one, (its, _) in self._state.unmarked.items() if its == study]:
                self._waiting(each, waits=True)

    def _give_up_waiting(self) -> None:
        for instance in self._state.over(self._settings.mark_s):
            self._waiting(instance, waits=False)
            self._state.move(self._state.last)
            self._attempts = 0

    def _waiting(self, instance: str, *, waits: bool) -> None:
        """Answer an image that waits, unless it was deleted."""
        if _exists(instance):
            self._image(instance, waits=waits)
        else:
            del self._state.unmarked[instance]

    def _image(self, instance: str, *, waits: bool) -> None:
        """Post an image to each model and store the results, or note that it waits for a circle."""
        study = Study(orthanc.RestApiGet(f"/instances/{instance}/file"), frames=_frames(instance))
        lacks_mark = False
        for model in self._settings.models or (None,):
            answer = self._service.post(study, model, waits=True)
            if answer.lacks_mark:
                marked = replace(study, marks=tuple(_marks(instance)))
                if marked.marks or not waits:
                    answer = self._service.post(marked, model, waits=waits)
            lacks_mark |= answer.lacks_mark
            self._take(instance, answer)
        if lacks_mark:
            self._state.unmarked.setdefault(instance, (_study(instance), time.time()))
        else:
            self._state.unmarked.pop(instance, None)

    def _take(self, instance: str, answer: Answer) -> None:
        """Store the results of an answer.

        Raises:
            NotNowError: the image has to be posted again.
        """
        if answer.status in _FOR_EVER or (answer.status >= 500 and self._attempts < MOST_ATTEMPTS):
            self._attempts += answer.status not in _FOR_EVER
            raise NotNowError(f"status {answer.status}")
        for result in answer.results:
            orthanc.RestApiPost("/instances", result)
        if answer.status not in (200, 204) and not answer.lacks_mark:
            orthanc.LogWarning(f"edge-predict: instance {instance} has no report (status {answer.status})")


def _exists(instance: str) -> bool:
    with suppress(orthanc.OrthancException):
        orthanc.RestApiGet(f"/instances/{instance}")
        return True
    _get("/system")  # Orthanc itself answers: the instance was deleted
    return False


def _sop_class(instance: str) -> str:
    found: bytes = orthanc.RestApiGet(f"/instances/{instance}/metadata/SopClassUid")
    return found.decode("ascii").strip("\0 ")


def _is_ours(instance: str) -> bool:
    """Return whether an instance is a result of this package."""
    return _text(instance, "0008-0070") == MANUFACTURER


def _frames(instance: str) -> int:
    found = _text(instance, "0028-0008")
    return int(found) if found.isdigit() else 1


def _text(instance: str, tag: str) -> str:
    """Return the text of an element; empty without one."""
    with suppress(orthanc.OrthancException):
        found: bytes = orthanc.RestApiGet(f"/instances/{instance}/content/{tag}")
        return found.decode("ascii", "replace").strip("\0 ")
    return ""


def _study(instance: str) -> str:
    return str(_get(f"/instances/{instance}/study")["ID"])


def _marks(instance: str) -> list[bytes]:
    """Return the presentation states and reports of the study of an image, without those of this package."""
    series = [_get(f"/series/{each}") for each in _get(f"/instances/{instance}/study")["Series"]]
    marking = [
        one for each in series if each["MainDicomTags"].get("Modality") in MODALITIES for one in each["Instances"]
    ]
    others = [each for each in marking if _sop_class(each).startswith(MARKING) and not _is_ours(each)]
    return [orthanc.RestApiGet(f"/instances/{each}/file") for each in others[:MOST_MARKS]]


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
