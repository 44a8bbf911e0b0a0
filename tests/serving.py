"""``edge-serve`` in a process of its own, for tests and benchmarks, and clients that may send anything."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.places import ROOT

_VARYING = re.compile(rb'"(time|check)": "[^"]*"|"ms": \{[^}]*\}')


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error; it must be the documented object, of a kind that fits the status."""
        assert self.headers["content-type"] == "application/json", self
        error = self.json["error"]
        assert error.keys() == {"kind", "code", "message"} and error["message"], error
        kinds = ({4: "request", 5: "server"}[self.status // 100], "image", "machine")
        assert error["kind"] in kinds, error
        return str(error["code"])


def steady(line: bytes) -> bytes:
    """A result with its times and its checksum replaced, for comparisons byte for byte."""
    return _VARYING.sub(b"", line)


def multipart(image: bytes, name: str | None, **fields: str) -> tuple[bytes, dict[str, str]]:
    """Return the body of a form and its headers."""
    file = "" if name is None else f'; filename="{name}"'
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    head = f'--edge\r\nContent-Disposition: form-data; name="image"{file}\r\n\r\n'.encode()
    return b"".join([*parts, head, image, b"\r\n--edge--\r\n"]), {"Content-Type": "multipart/form-data; boundary=edge"}


@dataclass
class Served:
    """A running service.

    Attributes:
        log: file with what it wrote on stdout and stderr.
    """

    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0
    uds: Path | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, log: Path, *arguments: object, **environment: str) -> Served:
        """Start it with a free port, unless the arguments name a socket; return when it listens."""
        log.parent.mkdir(parents=True, exist_ok=True)
        given = [str(argument) for argument in arguments]
        uds = Path(given[given.index("--uds") + 1]) if "--uds" in given else None
        command = [sys.executable, "-m", "edge_runtime.cli.serve", *([] if uds else ["--port", "0"]), *given]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            )
        service = cls(process, log, uds=uds)
        service.wait(lambda: service.events("listening"))
        service.port = service.events("listening")[0].get("port", 0)
        return service

    @classmethod
    def handed(cls, listening: socket.socket, log: Path, *arguments: str) -> Served:
        """Start it with a listening socket, as systemd does: descriptor 3, LISTEN_FDS and LISTEN_PID."""
        code = (
            f"import os, sys; os.dup2({listening.fileno()}, 3, inheritable=True); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
            "os.execv(sys.executable, [sys.executable, '-m', 'edge_runtime.cli.serve', *sys.argv[1:]])"
        )
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                pass_fds=[listening.fileno()],
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        return cls(process, log, listening.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def until_ready(self) -> Served:
        """Wait until every self-test has passed."""
        self.wait(lambda: self.events("ready"))
        return self

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of its log about an event."""
        lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        return [line for line in found if line["event"] == name]

    def connection(self, timeout: float = 60) -> http.client.HTTPConnection:
        """Return a new connection."""
        client = http.client.HTTPConnection("127.0.0.1", self.port or 80, timeout=timeout)
        if self.uds is not None:
            client.sock = self.socket(timeout)
        return client

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Response:
        """Send one request on a connection of its own."""
        client = self.connection()
        try:
            client.request(method, path, body, {**self.headers, **(headers or {})}, **options)
            return response_of(client.getresponse())
        finally:
            client.close()

    def get(self, path: str, **headers: str) -> Response:
        return self.request("GET", path, headers=headers)

    def predict(self, image: bytes, query: str = "", **headers: str) -> Response:
        return self.request("POST", f"/v1/predict{query}", image, headers)

    def raw(self, *parts: bytes, pause_s: float = 0.0, timeout: float = 60) -> bytes:
        """Send bytes as they are; return all that comes back until the service closes the connection."""
        with self.socket(timeout) as client:
            try:
                for part in parts:
                    client.sendall(part)
                    time.sleep(pause_s)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return everything(client)

    def socket(self, timeout: float = 60) -> socket.socket:
        """Return a new connection without HTTP."""
        if self.uds is None:
            return socket.create_connection(("127.0.0.1", self.port), timeout)
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(timeout)
        try:
            client.connect(str(self.uds))
        except OSError:
            client.close()
            raise
        return client

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it; return its log."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> str:
        """Wait for its end; return its log."""
        status = self.process.wait(timeout=90)
        said = self.log.read_text(encoding="utf-8")
        assert "Traceback" not in said, said
        assert status == 0, said
        return said

    def kill(self) -> None:
        """End it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=60)


@contextlib.contextmanager
def serving(log: Path, *arguments: object, ready: bool = True, **environment: str) -> Iterator[Served]:
    """Start ``edge-serve``, wait until it is ready or at least listens, and end it with the context."""
    service = Served.start(log, *arguments, **environment)
    try:
        yield service.until_ready() if ready else service
    finally:
        service.kill()


def response_of(found: http.client.HTTPResponse) -> Response:
    """Read a whole response."""
    return Response(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())


def everything(client: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    parts = []
    try:
        while part := client.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def parsed(answer: bytes) -> Response:
    """Parse one response from a raw connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return Response(int(first.split()[1]), {name.lower(): value.strip() for name, value in pairs}, body)
