"""The Open Inference Protocol, by Triton's own client and by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.serving import Served, steady
from tests.unit.bundle.shipped_bundle import VERSION

NAME = "idc-patch-compact"
INFER = f"/v2/models/{NAME}/infer"


@pytest.fixture
def client(running: Served) -> Iterator[Any]:
    """Triton's client, unchanged."""
    triton = pytest.importorskip("tritonclient.http", exc_type=ImportError)
    connected = triton.InferenceServerClient(f"127.0.0.1:{running.port}")
    yield connected
    connected.close()


def tensor(image: bytes, **options: Any) -> Any:
    from tritonclient.http import InferInput

    given = InferInput("image", [1], "BYTES")
    given.set_data_from_numpy(np.array([image], dtype=np.object_), **options)
    return given


def test_tritons_client_finds_server_and_model(client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(NAME)
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    about = client.get_model_metadata(NAME)
    assert (about["name"], about["versions"], about["inputs"][0]["datatype"]) == (NAME, [VERSION], "BYTES")
    assert client.get_model_metadata(NAME, VERSION) == about
    assert not client.is_model_ready("nobody")


def test_tritons_client_gets_the_same_answer(client: Any, running: Served, phantom: bytes) -> None:
    found = client.infer(NAME, [tensor(phantom)], request_id="7")
    line = running.predict(phantom, f"?model={NAME}").body.strip()
    assert steady(found.as_numpy("result")[0]) == steady(line)
    expected = json.loads(line)
    for name in ("decision", "reason", "label"):
        assert found.as_numpy(name)[0].decode() == expected[name]
    for name in ("score", "confidence"):
        assert found.as_numpy(name).dtype == np.float64 and found.as_numpy(name)[0] == expected[name]
    assert found.get_response()["id"] == "7"


def test_tritons_client_chooses_outputs(client: Any, phantom: bytes) -> None:
    from tritonclient.http import InferRequestedOutput

    for binary in (True, False):
        wanted = [InferRequestedOutput("score", binary_data=binary), InferRequestedOutput("decision", binary)]
        found = client.infer(NAME, [tensor(phantom)], outputs=wanted)
        assert [output["name"] for output in found.get_response()["outputs"]] == ["score", "decision"]
        assert found.as_numpy("decision")[0] in (b"POSITIVE", "POSITIVE")


def test_tritons_client_gives_a_region_and_sees_refusals(client: Any, phantom: bytes) -> None:
    from tritonclient.utils import InferenceServerException

    found = client.infer("mias-region", [tensor(phantom)], parameters={"region": "25,25,9"})
    assert json.loads(found.as_numpy("result")[0])["region"] == {"x": 25.0, "y": 25.0, "radius": 9.0}
    for image, model, code in ((phantom[:400], NAME, "image_truncated"), (phantom, "mias-region", "region_missing")):
        with pytest.raises(InferenceServerException, match=code):
            client.infer(model, [tensor(image)])
    with pytest.raises(InferenceServerException, match="model_not_served"):
        client.infer("nobody", [tensor(phantom)])


def test_many_requests_at_once(running: Served, phantom: bytes) -> None:
    triton = pytest.importorskip("tritonclient.http", exc_type=ImportError)
    with triton.InferenceServerClient(f"127.0.0.1:{running.port}", concurrency=8) as client:
        asked = [client.async_infer(NAME, [tensor(phantom)]) for _ in range(60)]
        assert {each.get_result().as_numpy("decision")[0] for each in asked} == {b"POSITIVE"}


def test_an_image_as_base64_in_json(running: Served, phantom: bytes) -> None:
    data = [base64.b64encode(phantom).decode()]
    asked = {"id": "a", "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": data}]}
    found = running.request("POST", INFER, json.dumps(asked), {"Content-Type": "application/json"})
    assert (found.status, found.json["id"], found.json["model_name"]) == (200, "a", NAME)
    values = {output["name"]: output["data"][0] for output in found.json["outputs"]}
    assert values["decision"] == "POSITIVE" and json.loads(values["result"])["score"] == values["score"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"inputs": []},
        {"inputs": [{"name": "pixels", "shape": [1], "datatype": "BYTES", "data": ["eA=="]}]},
        {"inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": [1.0]}]},
        {"inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", "data": ["eA==", "eA=="]}]},
        {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["no base64"]}]},
        {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 9}}]},
    ],
)
def test_a_wrong_request_is_told_in_the_protocols_form(running: Served, asked: object) -> None:
    found = running.request("POST", INFER, json.dumps(asked))
    assert found.status == 400 and found.json.keys() == {"error"}
    assert found.json["error"].startswith("infer_invalid: ")


def test_the_request_is_counted_like_the_others(running: Served, phantom: bytes) -> None:
    data = [base64.b64encode(phantom).decode()]
    asked = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": data}]}
    running.request("POST", INFER, json.dumps(asked))
    assert b'edge_requests_total{route="/v2/models/{name}/infer",status="200"}' in running.get("/metrics").body
