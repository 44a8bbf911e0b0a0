"""The Open Inference Protocol in both forms of its tensors."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from edge_runtime.serving.app import Service
from tests.places import ROOT
from tests.serving import Response
from tests.unit.serving.asgi import ask

IMAGE = (ROOT / "docs" / "phantom.png").read_bytes()
MODEL = "/v2/models/phantom-patch"
TENSOR = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(IMAGE).decode()]}


def infer(service: Service, request: Any, path: str = f"{MODEL}/infer") -> Response:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return ask(service, "POST", path, body, content_type="application/json")


def infer_binary(service: Service, rest: bytes, size: object, length: object = None, **more: Any) -> Response:
    tensor = {"name": "image", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor], **more}).encode()
    given = str(len(head) if length is None else length)
    return ask(service, "POST", f"{MODEL}/infer", head + rest, inference_header_content_length=given)


def test_an_image_in_base64(service: Service) -> None:
    reply = infer(service, {"id": "42", "inputs": [TENSOR]})
    assert reply.status == 200
    found = reply.json
    assert (found["id"], found["model_name"], found["model_version"]) == ("42", "phantom-patch", "1.0.0")
    values = {each["name"]: each["data"][0] for each in found["outputs"]}
    plain = ask(service, "POST", "/v1/predict", IMAGE).json
    assert values["score"] == plain["score"] and values["decision"] == plain["decision"]
    result = json.loads(values["result"])
    assert {k: v for k, v in result.items() if k not in ("time", "ms", "check")} == {
        k: v for k, v in plain.items() if k not in ("time", "ms", "check")
    }


def test_bytes_after_the_json_come_back_as_bytes_after_the_json(service: Service) -> None:
    rest = struct.pack("<I", len(IMAGE)) + IMAGE
    reply = infer_binary(service, rest, len(rest), parameters={"binary_data_output": True})
    head = int(reply.headers["inference-header-content-length"])
    outputs, at, values = json.loads(reply.body[:head])["outputs"], head, {}
    for each in outputs:
        size = each["parameters"]["binary_data_size"]
        values[each["name"]] = reply.body[at : at + size]
        at += size
    assert at == len(reply.body)
    assert struct.unpack("<d", values["score"])[0] == ask(service, "POST", "/v1/predict", IMAGE).json["score"]
    (length,) = struct.unpack_from("<I", values["decision"])
    assert (
        values["decision"][4:].decode() in ("POSITIVE", "NEGATIVE", "REFER") and length == len(values["decision"]) - 4
    )


def test_outputs_and_parameters_are_chosen(service: Service) -> None:
    wanted = [{"name": "score"}, {"name": "decision", "parameters": {"binary_data": False}}]
    found = infer(service, {"inputs": [TENSOR], "outputs": wanted}).json
    assert [each["name"] for each in found["outputs"]] == ["score", "decision"]
    heat = infer(service, {"inputs": [TENSOR], "outputs": [{"name": "result"}], "parameters": {"heatmap": True}}).json
    assert json.loads(heat["outputs"][0]["data"][0])["heatmap"]["media_type"] == "image/png"
    region = {"inputs": [TENSOR], "parameters": {"region": "25,25,20"}}
    assert infer(service, region, "/v2/models/mias-region/infer").status == 200
    assert infer(service, region).json == {"error": infer(service, region).json["error"]}
    assert infer(service, region).json["error"].startswith("region_unexpected: ")


@pytest.mark.parametrize(
    "request_, expected",
    [
        (b"{", "infer_invalid"),
        (b"[]", "infer_invalid"),
        (b"[" * 100_000, "infer_invalid"),
        ({}, "infer_invalid"),
        ({"inputs": [TENSOR, TENSOR]}, "infer_invalid"),
        ({"inputs": [TENSOR | {"name": "x"}]}, "infer_invalid"),
        ({"inputs": [TENSOR | {"datatype": "UINT8"}]}, "infer_invalid"),
        ({"inputs": [TENSOR | {"shape": [2]}]}, "infer_invalid"),
        ({"inputs": [TENSOR | {"data": ["?"]}]}, "infer_invalid"),
        ({"inputs": [TENSOR | {"data": ["é"]}]}, "infer_invalid"),
        ({"inputs": [TENSOR | {"data": 5}]}, "infer_invalid"),
        ({"inputs": [TENSOR], "parameters": []}, "infer_invalid"),
        ({"inputs": [TENSOR], "parameters": {"colour": 1}}, "infer_invalid"),
        ({"inputs": [TENSOR], "outputs": {}}, "infer_invalid"),
        ({"inputs": [TENSOR], "outputs": [{"name": "x"}]}, "infer_invalid"),
        ({"inputs": [TENSOR], "parameters": {"microns_per_pixel": []}}, "parameter_invalid"),
        ({"inputs": [TENSOR | {"data": ["AAAA"]}]}, "image_format"),
    ],
)
def test_errors_have_the_form_of_the_protocol(service: Service, request_: Any, expected: str) -> None:
    reply = infer(service, request_)
    assert reply.status == (422 if expected.startswith("image") else 400)
    assert reply.json.keys() == {"error"} and reply.json["error"].startswith(f"{expected}: ")


def test_binary_tensors_of_another_size_are_refused(service: Service) -> None:
    rest = struct.pack("<I", len(IMAGE)) + IMAGE
    for each in (
        infer_binary(service, rest, len(rest) - 1),
        infer_binary(service, rest, "x"),
        infer_binary(service, rest[:-1], len(rest) - 1),
        infer_binary(service, b"", 0),
        infer_binary(service, rest, len(rest), length=10**9),
        infer_binary(service, rest, len(rest), length="x"),
    ):
        assert each.status == 400 and each.json["error"].startswith("infer_invalid: ")


def test_models_and_versions(service: Service) -> None:
    assert ask(service, "GET", "/v2").json["extensions"] == ["binary_tensor_data"]
    assert ask(service, "GET", MODEL).json["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [1]}]
    assert ask(service, "GET", f"{MODEL}/ready").json["ready"] is True
    assert ask(service, "GET", f"{MODEL}/versions/1.0.0/ready").status == 200
    missing = ask(service, "GET", f"{MODEL}/versions/9.0.0")
    assert missing.status == 404 and missing.json["error"].startswith("version_not_found: ")
    assert ask(service, "GET", "/v2/models/none").status == 404
    assert ask(service, "GET", "/v2/health/live").status == ask(service, "GET", "/v2/health/ready").status == 200


def test_a_fault_of_the_machine_has_the_form_of_the_protocol(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("edge_runtime.images.reader.decode", fails)
    reply = infer(service, {"inputs": [TENSOR]})
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert reply.json["error"].startswith("machine_memory: ")
