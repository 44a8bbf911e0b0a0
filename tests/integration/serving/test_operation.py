"""A service in use: models that change, signals, sockets, logs and metrics."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_runtime.bundle.bundle import SHIPPED, find
from edge_runtime.bundle.registry.install import install, rollback
from tests.integration.serving.test_limits import slide
from tests.serving import Response, Served, multipart, response_of
from tests.unit.bundle import shipped_bundle
from tests.unit.bundle.shipped_bundle import NAME, NEWER, VERSION

Started = Callable[..., Served]


def versions_until(service: Served, image: bytes, wanted: str) -> list[Response]:
    """Ask on four connections until the version is there, and a little longer; return all responses."""
    found: list[Response] = []
    end = threading.Event()

    def ask() -> None:
        client = service.connection()
        while not end.is_set():
            client.request("POST", "/v1/predict", image)
            found.append(response_of(client.getresponse()))
        client.close()

    with ThreadPoolExecutor(4) as clients:
        for _ in range(4):
            clients.submit(ask)
        try:
            service.wait(lambda: found and found[-1].json.get("version") == wanted)
            time.sleep(0.3)
        finally:
            end.set()
    return found


def test_an_installed_and_a_rolled_back_model_are_taken_over_without_dropping_a_request(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phantom: bytes
) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv("EDGE_MODELS", str(store))
    new = shipped_bundle.version(tmp_path / "new", NEWER)
    install(Path(SHIPPED, NAME))
    service = started(NAME, "--workers", 2).until_ready()
    install(new)
    forward = versions_until(service, phantom, NEWER)
    rollback(NAME)
    back = versions_until(service, phantom, VERSION)
    assert {each.status for each in [*forward, *back]} == {200}
    for found, versions in ((forward, [VERSION, NEWER]), (back, [NEWER, VERSION])):
        said = [each.json["version"] for each in found]
        assert set(said) <= set(versions) and said[-1] == versions[1]
    digests = {each.json["version"]: each.json["bundle"] for each in forward}
    assert digests[NEWER] == find(new).digest
    assert service.get("/v1/models").json["models"][0]["version"] == VERSION
    service.stop()
    assert len(service.events("model_replaced")) == 2


def test_a_new_model_that_cannot_be_used_is_told_once_and_the_old_one_goes_on(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phantom: bytes
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    install(Path(SHIPPED, NAME))
    service = started(NAME).until_ready()
    folder = install(shipped_bundle.version(tmp_path / "new", NEWER))
    place = tmp_path / "store" / NAME / NEWER / "model.int8.tflite"
    place.chmod(0o644)
    place.write_bytes(b"damaged")
    assert folder is not None
    service.wait(lambda: service.events("model_kept") or service.events("model_replaced"))
    time.sleep(1.5)
    assert service.predict(phantom).json["version"] in (VERSION, NEWER)
    assert service.get("/health/ready").status == 200
    assert len(service.events("model_kept")) <= 1


def test_a_model_without_golden_vectors_is_not_served(
    process: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    done = process("edge_runtime.cli.serve", Path(SHIPPED, NAME, "model.int8.tflite"), "--port", 0)
    assert (done.returncode, b"golden_missing" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_accepted(started: Started, phantom: bytes, number: signal.Signals) -> None:
    service = started(NAME, "--queue", 50).until_ready()
    slow = service.socket()
    body = slide(3000)
    slow.sendall(b"POST /v1/tiles HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    service.wait(lambda: b"edge_queue_running 1.0" in service.get("/metrics").body)
    idle = service.socket()
    with ThreadPoolExecutor(20) as clients:
        asked = [clients.submit(service.predict, phantom) for _ in range(20)]
        service.wait(lambda: b"edge_queue_waiting 20.0" in service.get("/metrics").body)
        service.stop(number)
        assert [each.result().status for each in asked] == [200] * 20
    assert slow.recv(12) == b"HTTP/1.1 200"
    assert idle.recv(1) == b""
    slow.close()
    idle.close()
    assert service.events("stopping")[0]["waiting"] == 20 and service.events("stopped")


def test_a_stop_waits_for_an_upload_and_refuses_new_connections(started: Started, phantom: bytes) -> None:
    service = started(NAME).until_ready()
    with service.socket() as client:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(phantom)
        client.sendall(head + phantom[:100])
        time.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        service.wait(lambda: service.events("stopping"))
        time.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            service.socket()
        client.sendall(phantom[100:])
        assert client.recv(12) == b"HTTP/1.1 200"
    service.ended()


def test_a_request_on_its_way_to_an_open_connection_is_answered_after_a_stop(started: Started, phantom: bytes) -> None:
    service = started(NAME).until_ready()
    client = service.connection()
    client.request("POST", "/v1/predict", phantom)
    assert response_of(client.getresponse()).headers.get("connection") is None
    service.process.send_signal(signal.SIGTERM)
    service.wait(lambda: service.events("stopping"))
    time.sleep(0.3)
    client.request("POST", "/v1/predict", phantom)
    found = response_of(client.getresponse())
    assert (found.status, found.headers["connection"]) == (200, "close")
    client.close()
    service.ended()


def test_a_second_signal_ends_it_at_once(started: Started) -> None:
    service = started(NAME).until_ready()
    with service.socket() as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        time.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        service.wait(lambda: service.events("stopping"))
        start = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(timeout=20)
        assert time.monotonic() - start < 10


def test_a_unix_socket_serves_and_is_removed(started: Started, tmp_path: Path, phantom: bytes) -> None:
    place = tmp_path / "edge.sock"
    service = started(NAME, "--uds", place).until_ready()
    assert place.stat().st_mode & 0o007 == 0, "others may not use it"
    assert service.predict(phantom, Host="anything").status == 200
    service.stop()
    assert not place.exists()
    again = started(NAME, "--uds", place).until_ready()
    again.kill()
    assert place.exists()
    assert started(NAME, "--uds", place).until_ready().get("/health/live").status == 200, "a dead socket is replaced"


def test_a_socket_in_use_and_a_file_are_kept(
    started: Started, tmp_path: Path, process: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    place = tmp_path / "edge.sock"
    service = started(NAME, "--uds", place).until_ready()
    done = process("edge_runtime.cli.serve", NAME, "--uds", place)
    assert done.returncode == 2 and b"--uds" in done.stderr
    assert service.get("/health/live").status == 200
    (tmp_path / "file").write_text("mine")
    assert process("edge_runtime.cli.serve", NAME, "--uds", tmp_path / "file").returncode == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_neither_names_nor_images_nor_addresses_are_logged(started: Started, phantom: bytes) -> None:
    service = started(NAME, "mias-region").until_ready()
    secret = "Doe_Jane_1970"
    body, headers = multipart(phantom, f"{secret}.png", model=NAME)
    headers |= {"User-Agent": secret, "Referer": secret, "Cookie": secret, "X-Request-Id": secret}
    assert service.request("POST", "/v1/predict", body, headers).json["image"] == f"{secret}.png"
    for path in (f"/v1/{secret}", f"/{secret}?{secret}=1", f"/v1/models/{secret}", f"/page/{secret}"):
        assert service.get(path, Host="localhost").status == 404
    service.predict(phantom[:400], f"?model={secret}")
    service.predict(b"x", f"?{secret}=1")
    body, headers = multipart(phantom[:400], f"{secret}.png", model=NAME)
    assert secret in service.request("POST", "/v1/predict", body, headers).json["error"]["message"]
    service.raw(b"GET /" + secret.encode() + b"\x00 HTTP/1.1\r\n\r\n")
    assert secret.encode() not in service.get("/metrics").body
    said = service.stop()
    assert secret not in said and "127.0.0.1" not in said.partition('"ready"')[2]
    lines = [json.loads(line) for line in said.splitlines()]
    assert all({"time", "event"} <= line.keys() for line in lines)
    (first, *_) = [line for line in lines if line["event"] == "request"]
    assert first.keys() == {"time", "event", "request_id", "route", "status", "model", "ms"}
    assert (first["route"], first["status"], first["model"]) == ("/v1/predict", 200, NAME)


def test_metrics_count_requests_decisions_and_refusals(started: Started, phantom: bytes) -> None:
    service = started(NAME).until_ready()
    for _ in range(3):
        service.predict(phantom)
    service.predict(phantom[:400])
    text = service.get("/metrics").body.decode()
    decided = f'decision="POSITIVE",model="{NAME}",reason="ABOVE_CUTOFF",version="{VERSION}"'
    assert f"edge_decisions_total{{{decided}}} 3.0" in text
    assert f'edge_refusals_total{{code="image_truncated",model="{NAME}"}} 1.0' in text
    assert 'edge_requests_total{route="/v1/predict",status="200"} 3.0' in text
    assert 'edge_requests_total{route="/v1/predict",status="422"} 1.0' in text
    assert 'edge_request_seconds_count{route="/v1/predict"} 4.0' in text
    assert "edge_queue_waiting 0.0" in text and f'edge_model_ready{{model="{NAME}",version="{VERSION}"}} 1.0' in text


def test_without_models_all_shipped_ones_are_served(started: Started) -> None:
    service = started().until_ready()
    names = [model["name"] for model in service.get("/v1/models").json["models"]]
    assert sorted(names) == sorted(path.name for path in Path(SHIPPED).iterdir() if (path / "bundle.json").exists())
