"""Bodies and heads that are too large, too slow or damaged; a queue that is full."""

from __future__ import annotations

import json
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.integration.serving.test_answers import form
from tests.phantom_bundle import COMMITTED
from tests.serving import Served, serving

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"


def raw(served: Served, *parts: bytes, pause_s: float = 0.0, wait_s: float = 8.0) -> bytes:
    """Send parts with pauses, and return what the service says until it closes the connection or waits."""
    with socket.create_connection(("127.0.0.1", served.port or 0)) as connection:
        connection.settimeout(wait_s)
        said = b""
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
        except OSError:  # the service closed it already
            pass
        try:
            while data := connection.recv(65536):
                said += data
        except OSError:
            pass
    return said


def test_a_body_whose_stated_size_is_too_large_is_refused_before_it_is_sent(served: Served) -> None:
    said = raw(served, HEAD + b"Content-Length: 99999999\r\n\r\n", b"x" * 1000)
    assert said.startswith(b"HTTP/1.1 413") and b"body_too_large" in said


def test_a_chunked_body_is_counted_while_it_arrives(served: Served) -> None:
    chunk = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"
    said = raw(served, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 8)
    assert b" 413 " in said.split(b"\r\n")[0] and b"body_too_large" in said


def test_a_body_that_stops_is_ended(served: Served) -> None:
    began = time.monotonic()
    said = raw(served, HEAD + b"Content-Length: 1000\r\n\r\n", b"abc")
    assert said.startswith(b"HTTP/1.1 408") and b"request_timeout" in said
    assert time.monotonic() - began < 6


def test_a_body_of_single_bytes_is_ended_too(served: Served) -> None:
    said = raw(served, HEAD + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 12, pause_s=0.3)
    assert said.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("start", [b"", b"POST /v1/pre", b"GET /health/live HTTP/1.1\r\nHost: loc"])
def test_a_head_that_stops_is_ended(served: Served, start: bytes) -> None:
    began = time.monotonic()
    said = raw(served, start)
    assert time.monotonic() - began < 6
    assert said == b"" or said.startswith(b"HTTP/1.1 408")


def test_an_empty_body_is_named(served: Served) -> None:
    assert served.ask("/v1/predict", b"").json["error"]["code"] == "body_empty"


@pytest.mark.parametrize("method, path", [("PUT", "/v1/predict"), ("GET", "/v1/predict"), ("DELETE", "/v1/models")])
def test_another_method_is_named(served: Served, method: str, path: str) -> None:
    found = served.ask(path, method=method)
    assert (found.status, found.json["error"]["code"]) == (405, "method_not_allowed")


def test_an_unknown_path_is_named(served: Served) -> None:
    assert served.ask("/v1/nothing").json["error"]["code"] == "not_found"


def damaged(image: bytes) -> list[bytes]:
    whole: bytes = form("a.png", image)["body"]
    half = whole[: len(whole) // 2]
    return [
        whole[:-8],
        half,
        b"--b--",
        b"--b\r\n\r\n\r\n--b--\r\n",
        whole.replace(b"image", b"other"),
        whole[: -len(b"--b--\r\n")] + whole,
    ]


def test_a_damaged_form_is_named(served: Served, image: bytes) -> None:
    for body in damaged(image):
        found = served.ask("/v1/predict", body, content_type="multipart/form-data; boundary=b")
        assert (found.status, found.json["error"]["code"]) in ((400, "form_invalid"), (400, "parameter_unknown"))
    found = served.ask("/v1/predict", image, content_type="multipart/form-data")
    assert (found.status, found.json["error"]["code"]) == (400, "form_invalid")


def test_random_bodies_are_refused_by_name(served: Served, image: bytes) -> None:
    draw = random.Random(0)
    kinds = ["application/octet-stream", "multipart/form-data; boundary=b", "application/json", ""]
    for turn in range(300):
        body = draw.randbytes(draw.randint(1, 400))
        if turn % 3 == 0:  # an image with changed bytes
            changed = bytearray(image)
            for _ in range(8):
                changed[draw.randrange(len(changed))] = draw.randrange(256)
            body = bytes(changed)
        found = served.ask("/v1/predict", body, content_type=draw.choice(kinds))
        assert found.status in (200, 400, 422), found.body
        assert found.status == 200 or found.json["error"]["code"]
    assert served.ask("/v1/predict", image).status == 200


def test_a_full_queue_is_told_and_health_answers_meanwhile(tmp_path: Path, image: bytes) -> None:
    """Slides of many tiles hold the only worker and the one place that may wait."""
    noise = np.random.default_rng(0).integers(0, 256, (2500, 2500, 3), dtype=np.uint8)
    slide = cv2.imencode(".png", noise)[1].tobytes()
    with serving(tmp_path / "log", str(COMMITTED), "--queue", "1") as served, ThreadPoolExecutor(8) as clients:
        slow = [clients.submit(served.ask, "/v1/tiles", slide) for _ in range(4)]
        live = []
        while not all(each.done() for each in slow):
            began = time.monotonic()
            assert served.ask("/health/live").status == 200
            live.append(time.monotonic() - began)
        found = [each.result() for each in slow]
        full = [each for each in found if each.status == 503]
        assert full and len(full) < 4
        assert {each.json["error"]["code"] for each in full} == {"busy"}
        assert {each.headers["retry-after"] for each in full} == {"1"}
        assert served.ask("/v1/predict", image).status == 200


def test_the_log_has_no_name_and_no_content(served: Served, image: bytes) -> None:
    served.ask("/v1/predict", **form("SMITH-JANE-19700101.png", image))
    served.ask("/v1/predict", **form("SMITH-JANE-19700101.png", b"DOE-JOHN"))
    served.ask("/v1/models/DOE-JOHN")
    served.ask("/v1/predict?model=DOE-JOHN", image)
    text = served.log.read_text("utf-8")
    assert "SMITH" not in text and "DOE" not in text and "phantom.png" not in text
    assert {"time", "event", "method", "route", "status", "ms"} == set(served.events()[-1])
    assert json.dumps(served.events()[-1])
