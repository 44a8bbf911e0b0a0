"""The HTTP server in this process: heads that come slowly, too many connections, bytes that are no HTTP, the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge_runtime.errors import UsageError
from edge_runtime.serving import server as serving_server
from edge_runtime.serving import sockets
from edge_runtime.serving.access import Access
from edge_runtime.serving.app import Service
from edge_runtime.serving.endpoints import Core
from edge_runtime.serving.loaded_model import ModelOptions
from edge_runtime.serving.models import Models, State
from edge_runtime.serving.server import Notifier, ServeOptions, Server, Tls
from tests.phantom_bundle import CHECKED
from tests.places import ROOT

IMAGE = (ROOT / "docs" / "phantom.png").read_bytes()
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
PREDICT = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(IMAGE)
Script = Callable[[Server, int], Awaitable[None]]


class Listening(Notifier):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def ready(self) -> None:
        self.told.append("ready")

    def alive(self) -> None:
        if "alive" not in self.told:
            self.told.append("alive")

    def stopping(self) -> None:
        self.told.append("stopping")


def served(core: Core, options: ServeOptions, script: Script) -> Listening:
    """Run a server and a script against it; the script stops it."""
    notifier = Listening()
    server = Server(serving_server._config(Service(core, Access(hosts=None)), options), core, notifier)

    async def both() -> None:
        listening = sockets.on_address("127.0.0.1", 0)
        port = listening.getsockname()[1]
        running = asyncio.ensure_future(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            await asyncio.wait_for(script(server, port), 20)
        finally:
            server.should_exit = True
            await running

    asyncio.run(both())
    return notifier


async def sent(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send bytes and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(pause_s)
    data = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return data


def code_of(response: bytes) -> tuple[int, str]:
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"application/json" in head
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_slow_heads_end_and_bytes_that_are_no_http_are_refused(models: Models) -> None:
    core = serving_server.core_of(models, ServeOptions())

    async def script(server: Server, port: int) -> None:
        assert code_of(await sent(port)) == (408, "read_timeout")
        assert code_of(await sent(port, *[bytes([byte]) for byte in LIVE[:4]], pause_s=0.05)) == (408, "read_timeout")
        assert code_of(await sent(port, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")) == (400, "http_invalid")
        assert code_of(await sent(port, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + bytes(100_000))) == (400, "http_invalid")
        damaged = PREDICT.replace(b"Content-Length: %d" % len(IMAGE), b"Transfer-Encoding: chunked") + b"zz\r\n"
        assert code_of(await sent(port, damaged)) == (400, "http_invalid")
        twice = await sent(port, LIVE, LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert twice.count(b"HTTP/1.1 200") == 2, "a new head gets its own time"

    told = served(core, ServeOptions(read_timeout_s=0.3), script).told
    core.queue.close()
    assert sorted(told) == ["alive", "ready", "stopping"]


def test_too_many_connections_are_refused(models: Models) -> None:
    core = serving_server.core_of(models, ServeOptions())

    async def script(server: Server, port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert code_of(await sent(port)) == (503, "connections_full")
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        assert (await sent(port, LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).startswith(
            b"HTTP/1.1 200"
        )

    served(core, ServeOptions(most_connections=2), script)
    core.queue.close()


def test_a_refused_upload_gets_its_response_and_no_reset(models: Models) -> None:
    core = serving_server.core_of(models, ServeOptions(most_bytes=100_000))

    async def script(server: Server, port: int) -> None:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
        assert code_of(await sent(port, head, *[chunk] * 20, b"0\r\n\r\n")) == (413, "body_too_large")
        declared = PREDICT.replace(b"%d" % len(IMAGE), b"99999999")
        assert code_of(await sent(port, declared, bytes(500_000))) == (413, "body_too_large")

    served(core, ServeOptions(), script)
    core.queue.close()


def test_a_stop_answers_what_was_accepted(models: Models) -> None:
    core = serving_server.core_of(models, ServeOptions())

    async def script(server: Server, port: int) -> None:
        hold = asyncio.ensure_future(core.queue.run(lambda: __import__("time").sleep(0.5)))
        asked = [asyncio.ensure_future(sent(port, PREDICT + IMAGE)) for _ in range(5)]
        while core.queue.waiting < 5:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        answers = await asyncio.gather(*asked)
        await hold
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        with pytest.raises(OSError):
            await sent(port)

    served(core, ServeOptions(), script)
    core.queue.close()


def test_serve_loads_listens_and_ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(server: Server, sockets: list[socket.socket]) -> None:
        server._core.models.refresh(lambda *_, **__: None)
        assert all(model.state is State.READY for model in server._core.models)
        sockets[0].close()

    monkeypatch.setattr(Server, "run", run)
    listen = [sockets.on_address("127.0.0.1", 0)]
    serving_server.serve((str(CHECKED),), ModelOptions(), ServeOptions(), lambda: listen, Notifier())
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["listening", "stopped"]


def test_a_second_signal_ends_at_once(models: Models) -> None:
    core = serving_server.core_of(models, ServeOptions())
    config = serving_server._config(Service(core, Access()), ServeOptions())
    server = Server(config, core, Notifier())
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit and not server.force_exit
    server.handle_exit(signal.SIGTERM, None)
    assert server.force_exit
    core.queue.close()


def test_files_of_tls_must_be_certificates(models: Models, tmp_path: Path) -> None:
    core = serving_server.core_of(models, ServeOptions())
    for cert in (tmp_path / "missing.pem", ROOT / "README.md"):
        with pytest.raises(UsageError, match="TLS: "):
            serving_server._config(Service(core, Access()), ServeOptions(tls=Tls(cert, cert, cert)))
    core.queue.close()


def test_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "serve.sock"
    first = sockets.on_path(path)
    assert path.stat().st_mode & 0o777 == 0o660
    with pytest.raises(UsageError, match="cannot listen"):
        sockets.on_path(path)
    first.close()
    second = sockets.on_path(path)
    second.close()
    sockets.remove([path])
    assert not path.exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        sockets.on_path(tmp_path / "file")
    assert (tmp_path / "file").exists(), "only a socket that nobody listens at is replaced"
    taken = sockets.on_address("127.0.0.1", 0)
    with pytest.raises(UsageError, match="cannot listen"):
        sockets.on_address("127.0.0.1", taken.getsockname()[1])
    taken.close()
    assert sockets.inherited() == []
    listening = sockets.on_address("127.0.0.1", 0)
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setattr(sockets, "_FIRST_INHERITED", listening.detach())
    (handed,) = sockets.inherited()
    assert handed.getsockname()[0] == "127.0.0.1"
    handed.close()
