"""Every request that cannot be answered gets the documented error; the log and the metrics hold no names."""

from __future__ import annotations

import asyncio
import gc
import json
import random

import jsonschema
import pytest

from edge_runtime.serving.access import Access
from edge_runtime.serving.app import Service
from edge_runtime.serving.body import has_body, linger
from edge_runtime.serving.openapi import document
from edge_runtime.serving.server import ServeOptions, core_of
from edge_runtime.serving.static_files import StaticFiles
from tests.places import ROOT
from tests.serving import Response
from tests.unit.serving.asgi import ask, call, form

IMAGE = (ROOT / "docs" / "phantom.png").read_bytes()
SECRET = "mueller-1950-04-01"
FORM = "multipart/form-data; boundary=edge"
OCTETS = "application/octet-stream"


@pytest.mark.parametrize(
    "method, target, status, code",
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/predict", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("BREW", "/health/live", 405, "method_not_allowed"),
        ("POST", "/v1/predict?model=none", 404, "model_not_served"),
        ("GET", "/v1/models/none", 404, "model_not_served"),
        ("POST", "/v1/predict?modell=none", 400, "parameter_unknown"),
        ("POST", "/v1/predict?heatmap=2", 400, "parameter_invalid"),
        ("POST", "/v1/predict?model=a&model=b", 400, "parameter_invalid"),
        ("POST", "/v1/predict?region=1,2", 400, "region_invalid"),
        ("POST", "/v1/predict?region=1,2,3", 400, "region_unexpected"),
        ("POST", "/v1/predict?model=mias-region", 400, "region_missing"),
        ("POST", "/v1/tiles?model=mias-region", 400, "region_missing"),
        ("POST", "/v1/tiles?region=1,2,3", 400, "parameter_unknown"),
        ("POST", "/v1/predict?microns_per_pixel=4", 400, "scale_unexpected"),
        ("POST", "/v1/predict?microns_per_pixel=nan", 400, "parameter_invalid"),
        ("POST", "/v1/tiles?microns_per_pixel=x", 400, "parameter_invalid"),
        ("GET", "/page/../app.py", 404, "not_found"),
        ("GET", "/page/%2e%2e/app.py", 404, "not_found"),
    ],
)
def test_requests_that_name_the_wrong_thing(service: Service, method: str, target: str, status: int, code: str) -> None:
    reply = ask(service, method, target, IMAGE if method == "POST" else b"")
    assert (reply.status, reply.code) == (status, code)
    assert ("allow" in reply.headers) is (status == 405)


@pytest.mark.parametrize(
    "body, kind, status, code",
    [
        (b"{}", "application/json", 415, "media_type"),
        (IMAGE, "multipart/form-data", 400, "multipart_invalid"),
        (IMAGE, FORM, 400, "multipart_invalid"),
        (form(IMAGE)[0][:-9], FORM, 400, "multipart_invalid"),
        (form(None, model="phantom-patch")[0], FORM, 400, "multipart_invalid"),
        (form(IMAGE)[0].replace(b"--edge--", b"") + form(IMAGE)[0], FORM, 400, "multipart_invalid"),
        (form(IMAGE, colour="red")[0], FORM, 400, "parameter_unknown"),
        (form(IMAGE, model="x" * 2000)[0], FORM, 400, "multipart_invalid"),
        (form(IMAGE, **{f"a{n}": "" for n in range(20)})[0], FORM, 400, "multipart_invalid"),
        (bytes(300_000), OCTETS, 413, "body_too_large"),
    ],
)
def test_bodies_that_cannot_be_used(service: Service, body: bytes, kind: str, status: int, code: str) -> None:
    reply = ask(service, "POST", "/v1/predict", body, content_type=kind)
    assert (reply.status, reply.code) == (status, code)


def test_compressed_bodies_are_refused(service: Service) -> None:
    assert ask(service, "POST", "/v1/predict", IMAGE, content_encoding="gzip").code == "content_encoding"
    assert ask(service, "POST", "/v1/predict", IMAGE, content_encoding="identity").status == 200


def test_a_field_stands_in_the_address_or_in_the_form(service: Service) -> None:
    body, kind = form(IMAGE, heatmap="0")
    assert ask(service, "POST", "/v1/predict", body, content_type=kind).status == 200
    assert ask(service, "POST", "/v1/predict?heatmap=0", body, content_type=kind).code == "parameter_invalid"


def test_bodies_in_parts_are_counted_as_they_come(service: Service) -> None:
    reply = asyncio.run(call(service, "POST", "/v1/predict", [IMAGE[:1000], IMAGE[1000:]]))
    assert reply is not None and reply.status == 200
    endless = [bytes(50_000)] * 40
    reply = asyncio.run(call(service, "POST", "/v1/predict", endless))
    assert reply is not None and (reply.status, reply.code) == (413, "body_too_large")
    assert reply.headers["connection"] == "close"
    assert service.core.uploads.held_bytes == 0


def limited(service: Service, **options: float) -> Service:
    """Return an application with the same models and other limits."""
    return Service(core_of(service.core.models, ServeOptions(**options)), Access(hosts=None))  # type: ignore[arg-type]


def test_a_body_that_stalls_is_ended_and_a_slow_one_is_not(service: Service) -> None:
    slow = limited(service, read_timeout_s=0.2)
    drops = [IMAGE[start : start + 600] for start in range(0, len(IMAGE), 600)]
    reply = asyncio.run(call(slow, "POST", "/v1/predict", drops, pause_s=0.06))
    assert reply is not None and (reply.status, reply.code) == (408, "read_timeout")
    padded = IMAGE + bytes(100_000)
    parts = [padded[start : start + 10_000] for start in range(0, len(padded), 10_000)]
    reply = asyncio.run(call(slow, "POST", "/v1/predict", parts, pause_s=0.05))
    assert reply is not None and reply.status in (200, 422)


def test_all_bodies_together_are_limited(service: Service) -> None:
    full = limited(service)
    full.core.uploads.held_bytes = full.core.uploads.limits.held_bytes
    reply = ask(full, "POST", "/v1/predict", IMAGE)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "uploads_full", "1")


def test_a_client_that_leaves_is_counted_and_gets_nothing(service: Service) -> None:
    async def left() -> list[Response | None]:
        hold = asyncio.ensure_future(service.core.queue.run(lambda: __import__("time").sleep(0.4)))
        await asyncio.sleep(0.05)
        waiting = await call(service, "POST", "/v1/predict", [IMAGE], leaves_after=0.05)
        assert service.core.queue.waiting == 0
        await hold
        early = await call(service, "POST", "/v1/predict", [IMAGE[:9], b""][:1], {"content-length": "99"})
        return [waiting, early]

    waiting, early = asyncio.run(left())
    assert waiting is None
    assert early is not None and early.status == 422
    assert b'edge_requests_total{route="/v1/predict",status="499"}' in ask(service, "GET", "/metrics").body


def test_what_is_sent_after_a_refusal_is_read_for_a_while_alone() -> None:
    async def endless() -> dict[str, object]:
        return {"type": "http.request", "body": bytes(1 << 20), "more_body": True}

    asyncio.run(asyncio.wait_for(linger(endless), 5))
    assert has_body({b"content-length": b"5"}) and has_body({b"transfer-encoding": b"chunked"})
    assert not has_body({}) and not has_body({b"content-length": b"0"})


def test_unexpected_faults_are_told_without_their_text(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr("edge_runtime.serving.endpoints.answer", fails)
    reply = ask(service, "POST", "/v1/predict", IMAGE)
    assert (reply.status, reply.code) == (500, "internal")
    said = capsys.readouterr().err
    assert SECRET not in said + reply.body.decode()
    (fault, request) = map(json.loads, said.splitlines())
    assert (fault["event"], fault["kind"], fault["request_id"]) == ("fault", "RuntimeError", request["request_id"])
    assert reply.headers["x-request-id"] == request["request_id"]


def test_no_name_reaches_the_log_or_the_metrics(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    body, kind = form(IMAGE, f"{SECRET}.png")
    assert SECRET in ask(service, "POST", "/v1/predict", body, content_type=kind).json["image"]
    ask(service, "POST", f"/v1/predict?model={SECRET}", IMAGE)
    ask(service, "GET", f"/{SECRET}", b"", referer=SECRET, user_agent=SECRET)
    ask(service, "POST", f"/v1/predict?region={SECRET}", IMAGE)
    metrics = ask(service, "GET", "/metrics").body.decode()
    said = capsys.readouterr().err
    assert SECRET not in said and SECRET not in metrics
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["status"] for line in lines] == [200, 404, 404, 400, 200]
    assert lines[0].keys() == {"time", "event", "request_id", "route", "status", "model", "ms"}
    assert lines[1]["route"] == "/v1/predict" and lines[1]["code"] == "model_not_served"


def test_metrics_count_decisions_refusals_and_requests(service: Service) -> None:
    ask(service, "POST", "/v1/predict", IMAGE)
    ask(service, "POST", "/v1/predict", IMAGE[:99])
    text = ask(service, "GET", "/metrics").body.decode()
    for name in (
        'edge_decisions_total{decision="',
        'edge_refusals_total{code="image_truncated",model="phantom-patch"}',
        'edge_request_seconds_bucket{le="0.001",route="/v1/predict"}',
        'edge_model_ready{model="mias-region",version="1.2.0"} 1.0',
        "edge_queue_places 64.0",
        "edge_queue_waiting 0.0",
        "edge_queue_running 0.0",
        "edge_upload_bytes 0.0",
    ):
        assert name in text


def test_random_bodies_get_named_errors(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    rng, valid = random.Random(0), form(IMAGE, "a.png", heatmap="0")[0]
    kinds = [FORM, OCTETS, "image/png", "multipart/form-data; boundary=", "application/json", ";", "multipart/mixed"]
    for _ in range(400):
        base = rng.choice([IMAGE, valid, rng.randbytes(rng.randrange(300))])
        body = bytearray(base[: rng.randrange(len(base) + 1)])
        for _ in range(rng.randrange(4)):
            if body:
                body[rng.randrange(len(body))] = rng.randrange(256)
        path = rng.choice(["/v1/predict", "/v1/tiles", "/v1/predict?heatmap=1", "/v2/models/phantom-patch/infer"])
        reply = ask(service, "POST", path, bytes(body), content_type=rng.choice(kinds))
        assert reply.status in (200, 400, 413, 415, 422), reply
        if reply.status != 200:
            assert reply.json["error"]
    assert '"fault"' not in capsys.readouterr().err


def test_models_say_what_they_take_and_what_was_measured(service: Service) -> None:
    rows = ask(service, "GET", "/v1/models").json["models"]
    assert [(row["name"], row["region"], row["default"], row["state"]) for row in rows] == [
        ("phantom-patch", False, True, "ready"),
        ("mias-region", True, False, "ready"),
    ]
    about = ask(service, "GET", "/v1/models/mias-region").json
    assert about["manifest"]["spec"]["name"] == "mias-region" and about["manifest"]["evaluations"]
    assert about["card"].startswith("#")


def test_health(service: Service) -> None:
    assert ask(service, "GET", "/health/live").json == {"status": "live"}
    reply = ask(service, "GET", "/health/ready")
    assert (reply.status, reply.json["status"]) == (200, "ready")


def test_the_description_is_the_schema_of_the_docs_and_names_every_path(service: Service) -> None:
    found = ask(service, "GET", "/openapi.json")
    assert found.json == document()
    jsonschema.Draft202012Validator.check_schema(found.json["components"]["schemas"]["answer"])
    served = {route.path for route in service.routes}
    assert found.json["paths"].keys() <= served
    assert {path for path in served if path.startswith(("/v1", "/health"))} <= found.json["paths"].keys()
    page = ask(service, "GET", "/docs").body.decode()
    assert "POST /v1/predict" in page and "<script" not in page and "://" not in page.replace("https://json-schema", "")
    again = ask(service, "GET", "/docs", if_none_match=ask(service, "GET", "/docs").headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_files_of_the_page_have_a_type_and_a_strict_policy(service: Service, tmp_path: object) -> None:
    own = Service(service.core, Access(hosts=frozenset(("localhost",))), StaticFiles(ROOT / "docs"))
    reply = ask(own, "GET", "/page/prediction.schema.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert ask(own, "GET", "/page/app.py").code == "not_found"
    assert ask(own, "GET", "/").code == "not_found"
    assert ask(own, "HEAD", "/page/prediction.schema.json").status == 200


@pytest.mark.parametrize(
    "target, body, status",
    [
        ("/v1/predict", IMAGE, 200),
        ("/v1/predict", IMAGE[:100], 422),
        ("/v1/predict?model=mias-region", IMAGE, 400),
        ("/v1/predict?heatmap=2", IMAGE, 400),
        ("/v1/predict?model=none", IMAGE, 404),
    ],
)
def test_a_request_leaves_nothing_for_the_search_for_cycles(
    service: Service, target: str, body: bytes, status: int
) -> None:
    """The search is rare in the service. What waits for it holds the bodies of requests."""

    async def many() -> int:
        for _ in range(3):
            reply = await call(service, "POST", target, (body,))
            assert reply is not None and reply.status == status
        await asyncio.sleep(0.05)
        return gc.collect()

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(many()) == 0
    finally:
        gc.enable()
