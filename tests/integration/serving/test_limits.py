"""Slow, large, broken and vanished requests: each ends with a named error, and the service goes on."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving import Response, Served, multipart, parsed

LONG = int(os.environ.get("EDGE_FUZZ_EXAMPLES", "0"))
HEAD = b"POST /v1/predict?model=idc-patch-compact HTTP/1.1\r\nHost: localhost\r\n"
Started = Callable[..., Served]


@pytest.fixture
def hasty(started: Started) -> Served:
    """A service with a read timeout of half a second and small limits."""
    limits = ("--read-timeout", 0.5, "--max-bytes", "1MiB", "--queue", 1)
    return started("idc-patch-compact", *limits).until_ready()


def test_slow_requests_end_in_time(hasty: Served, phantom: bytes) -> None:
    start = time.monotonic()
    late = [
        hasty.raw(b""),  # nothing at all
        hasty.raw(b"POST /v1/pre"),  # a head that never ends
        hasty.raw(*(bytes([byte]) for byte in HEAD), pause_s=0.05),  # a byte at a time
        hasty.raw(HEAD + b"Content-Length: 50000\r\n\r\n"),  # no body
        hasty.raw(HEAD + b"Content-Length: 50000\r\n\r\n", *(b"x" for _ in range(100)), pause_s=0.05),
        hasty.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *(b"1\r\nx\r\n" for _ in range(100)), pause_s=0.05),
        hasty.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"ffff", b"f", pause_s=0.05),
    ]
    for answer in late:
        found = parsed(answer)
        assert (found.status, found.code, found.headers["connection"]) == (408, "read_timeout", "close")
    assert time.monotonic() - start < 40
    assert hasty.predict(phantom).status == 200


def test_a_steady_upload_may_take_longer_than_the_timeout(hasty: Served, phantom: bytes) -> None:
    parts = [b"\0" * 32_768 for _ in range(8)]
    size = sum(map(len, parts))
    answer = parsed(hasty.raw(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size, *parts, pause_s=0.2))
    assert (answer.status, answer.code) == (422, "image_format")


def test_a_connection_in_use_outlives_the_timeout(hasty: Served, phantom: bytes) -> None:
    client = hasty.connection()
    for _ in range(3):
        client.request("POST", "/v1/predict", phantom)
        assert client.getresponse().read()
        time.sleep(0.7)
    client.close()


def test_a_large_body_is_refused_while_it_arrives(hasty: Served, phantom: bytes) -> None:
    declared = hasty.raw(HEAD + b"Content-Length: 2000000\r\n\r\n")
    chunk = b"10000\r\n" + b"\0" * 65_536 + b"\r\n"
    chunked = hasty.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *(chunk for _ in range(40)))
    form, headers = multipart(b"\0" * 2_000_000, "large.png")
    sent = hasty.raw(
        HEAD + f"Content-Type: {headers['Content-Type']}\r\nContent-Length: {len(form)}\r\n\r\n".encode(), form
    )
    for answer in (declared, chunked, sent):
        found = parsed(answer)
        assert (found.status, found.code) == (413, "body_too_large")
    exact = hasty.predict(b"\0" * (1 << 20))
    assert (exact.status, exact.code) == (422, "image_format")
    assert hasty.predict(phantom).status == 200


def test_an_endless_chunked_body_takes_no_memory(started: Started, phantom: bytes) -> None:
    service = started("idc-patch-compact", "--max-bytes", "1MiB").until_ready()
    service.predict(phantom)
    before = memory_mib(service)
    chunk = b"100000\r\n" + b"\0" * (1 << 20) + b"\r\n"
    answer = service.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *(chunk for _ in range(200)))
    assert parsed(answer).code == "body_too_large" if answer else True  # a reset may overtake the response
    assert memory_mib(service) - before < 16


def memory_mib(service: Served) -> float:
    lines = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def slide(side: int) -> bytes:
    """A grey image that takes a while, tile by tile."""
    return b"P6\n%d %d\n255\n" % (side, side) + random.Random(0).randbytes(1) * (side * side * 3)


def test_a_full_queue_refuses_with_the_time_to_wait(started: Started, phantom: bytes) -> None:
    service = started("idc-patch-compact", "--queue", 2).until_ready()
    with ThreadPoolExecutor(24) as clients:
        found = list(clients.map(lambda _: service.predict(phantom), range(240)))
    statuses = Counter(each.status for each in found)
    assert set(statuses) <= {200, 503} and statuses[200] and statuses.total() == 240
    slow = threading.Thread(target=service.request, args=("POST", "/v1/tiles", slide(3000)))
    slow.start()
    with ThreadPoolExecutor(12) as clients:
        waiting = list(clients.map(lambda _: service.predict(phantom), range(12)))
    slow.join()
    refused = [each for each in [*found, *waiting] if each.status == 503]
    assert refused and {each.code for each in refused} == {"queue_full"}
    assert all(int(each.headers["retry-after"]) >= 1 for each in refused)


def test_a_request_leaves_the_queue_with_its_client(started: Started, phantom: bytes) -> None:
    service = started("idc-patch-compact", "--queue", 8).until_ready()
    slow = threading.Thread(target=service.request, args=("POST", "/v1/tiles", slide(2000)))
    slow.start()
    service.wait(lambda: b"edge_queue_running 1.0" in service.get("/metrics").body)
    clients = [service.socket() for _ in range(8)]
    for client in clients:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(phantom) + phantom)
    service.wait(lambda: b"edge_queue_waiting 8.0" in service.get("/metrics").body)
    for client in clients:
        client.close()
    service.wait(lambda: b"edge_queue_waiting 0.0" in service.get("/metrics").body, 5)
    assert slow.is_alive(), "the slide ended before the clients left: make it larger"
    slow.join()
    service.wait(lambda: sum(each["status"] == 499 for each in service.events("request")) == 8)
    decided = sum(line.startswith(b"edge_decisions_total") for line in service.get("/metrics").body.splitlines())
    assert decided == 0, "nothing was computed for them"


def test_a_slide_that_runs_stops_when_its_client_leaves(started: Started, phantom: bytes) -> None:
    service = started("idc-patch-compact").until_ready()
    body = slide(4000)  # 6,400 tiles
    client = service.socket()
    client.sendall(b"POST /v1/tiles HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    service.wait(lambda: b"edge_queue_running 1.0" in service.get("/metrics").body)
    client.close()
    begin = time.monotonic()
    service.wait(lambda: b"edge_queue_running 0.0" in service.get("/metrics").body)
    stopped = time.monotonic() - begin
    assert [each["status"] for each in service.events("request") if each["route"] == "/v1/tiles"] == [499]
    begin = time.monotonic()
    assert service.request("POST", "/v1/tiles", body).status == 200
    assert stopped < (time.monotonic() - begin) / 2
    assert not service.events("fault")


BROKEN = {
    "no boundary": (b"x", "multipart/form-data"),
    "another boundary": (b"--other\r\n\r\nx\r\n--other--\r\n", "multipart/form-data; boundary=edge"),
    "no end": (multipart(b"x", "a.png")[0][:-8], "multipart/form-data; boundary=edge"),
    "no header": (b"--edge\r\n\r\nx\r\n--edge--\r\n", "multipart/form-data; boundary=edge"),
    "no image": (
        b'--edge\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--edge--\r\n',
        "multipart/form-data; boundary=edge",
    ),
    "empty": (b"", "multipart/form-data; boundary=edge"),
    "a boundary as long as the body": (b"-" * 500, f"multipart/form-data; boundary={'-' * 490}"),
    "many parts": (
        b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 500 + b"--edge--\r\n",
        "multipart/form-data; boundary=edge",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_form_has_a_code(running: Served, fault: str) -> None:
    body, kind = BROKEN[fault]
    found = running.request("POST", "/v1/predict", body, {"Content-Type": kind})
    assert (found.status, found.code) == (400, "multipart_invalid")


def test_a_field_given_twice_or_unknown_is_refused(running: Served, phantom: bytes) -> None:
    body, headers = multipart(phantom, "a.png", model="idc-patch-compact")
    twice = running.request("POST", "/v1/predict?model=idc-patch-compact", body, headers)
    assert (twice.status, twice.code) == (400, "parameter_invalid")
    body, headers = multipart(phantom, "a.png", colour="red")
    unknown = running.request("POST", "/v1/predict", body, headers)
    assert (unknown.status, unknown.code) == (400, "parameter_unknown")


@pytest.mark.parametrize(
    "method, path, status, code",
    [
        ("GET", "/v1/predict", 405, "method_not_allowed"),
        ("PUT", "/v1/predict", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("BREW", "/v1/tiles", 405, "method_not_allowed"),
        ("POST", "/health/live", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/page/../../../etc/passwd", 404, "not_found"),
        ("GET", "/page/%2e%2e/%2e%2e/server.py", 404, "not_found"),
        ("GET", "/page//etc/passwd", 404, "not_found"),
        ("OPTIONS", "/v1/predict", 405, "method_not_allowed"),
    ],
)
def test_a_wrong_method_or_path_has_a_code(running: Served, method: str, path: str, status: int, code: str) -> None:
    found = running.request(method, path, b"x" if method == "PUT" else None)
    assert (found.status, found.code) == (status, code)
    assert ("allow" in found.headers) == (status == 405)


def test_what_is_no_http_is_refused(running: Served) -> None:
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET /\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
    ):
        found = parsed(running.raw(data))
        assert (found.status, found.code) in ((400, "http_invalid"), (431, "http_invalid")), data[:60]


def test_a_compressed_body_or_json_is_refused(running: Served, phantom: bytes) -> None:
    packed = running.predict(phantom, "", **{"Content-Encoding": "gzip"})
    assert (packed.status, packed.code) == (415, "content_encoding")
    as_json = running.predict(b"{}", "", **{"Content-Type": "application/json; charset=utf-8"})
    assert (as_json.status, as_json.code) == (415, "media_type")


def body_of(draw: random.Random, phantom: bytes) -> tuple[str, bytes, dict[str, str]]:
    """Return a path, a body and headers: noise, damaged images, damaged forms, damaged protocol requests."""
    data = bytearray(phantom if draw.random() < 0.6 else draw.randbytes(draw.randrange(0, 3000)))
    for _ in range(draw.randrange(0, 6)):
        if data:
            at = draw.randrange(len(data))
            data[at : at + draw.randrange(0, 9)] = draw.randbytes(draw.randrange(0, 9))
    body, headers = bytes(data), {}
    kind = draw.randrange(4)
    if kind == 1:
        body, headers = multipart(body, "a.png", **({"region": draw.randbytes(4).hex()} if draw.random() < 0.3 else {}))
        if draw.random() < 0.5:
            at = draw.randrange(len(body))
            body = body[:at] + draw.randbytes(3) + body[at + draw.randrange(0, 90) :]
    path = "/v1/tiles" if draw.random() < 0.1 else "/v1/predict?model=idc-patch-compact"
    if kind == 2:
        path = "/v2/models/idc-patch-compact/infer"
        head = draw.choice(
            (b'{"inputs": []}', b'{"inputs": [{"name": "image"}]}', b"[" * 2000, b"{}", b"null", b"\xff")
        )
        body = head + body
        headers = {"Inference-Header-Content-Length": str(draw.randrange(-5, len(body) + 50))}
    return path, body, headers


def test_whatever_bytes_come_the_answer_is_a_result_or_a_named_error(running: Served, phantom: bytes) -> None:
    draw = random.Random(LONG or 1)
    codes: Counter[str] = Counter()
    client = running.connection()
    for _ in range(LONG or 400):
        path, body, headers = body_of(draw, phantom)
        client.request("POST", path, body, headers)
        got = client.getresponse()
        found = Response(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        assert found.status in (200, 400, 422), found
        if found.status != 200:
            code = found.json["error"].partition(":")[0] if path.startswith("/v2/") else found.code
            assert code.replace("_", "").isalpha() and code.islower(), found
            codes[code] += 1
    client.close()
    assert len(codes) >= 5, codes
    assert running.predict(phantom, "?model=idc-patch-compact").status == 200
    assert not running.events("fault"), running.events("fault")
