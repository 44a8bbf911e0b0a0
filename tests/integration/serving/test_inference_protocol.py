"""The Open Inference Protocol, with Triton's own client where it is installed."""

from __future__ import annotations

import base64
import json
import struct

import numpy as np
import pytest

from tests.phantom_bundle import COMMITTED
from tests.serving import Served

PATH = "/v2/models/phantom-patch/infer"


def asked(*images: bytes, **more: object) -> bytes:
    data = [base64.b64encode(image).decode() for image in images]
    given = {"name": "image", "datatype": "BYTES", "shape": [len(images)], "data": data}
    return json.dumps({"inputs": [given], **more}).encode()


def test_images_in_json_are_answered_like_predict(served: Served, image: bytes) -> None:
    plain = served.ask("/v1/predict", image).json
    found = served.ask(PATH, asked(image, image, id="7")).json
    assert (found["id"], found["model_name"], found["model_version"]) == ("7", "phantom-patch", "1.0.0")
    outputs = {output["name"]: output for output in found["outputs"]}
    assert outputs["score"]["data"] == [plain["score"]] * 2 and outputs["score"]["shape"] == [2]
    assert outputs["decision"]["data"] == [plain["decision"]] * 2
    assert json.loads(outputs["answer"]["data"][0])["sha256"] == plain["sha256"]


def test_wanted_outputs_alone_are_sent(served: Served, image: bytes) -> None:
    found = served.ask(PATH, asked(image, outputs=[{"name": "score"}])).json
    assert [output["name"] for output in found["outputs"]] == ["score"]


def test_a_refused_image_ends_the_request_with_its_code(served: Served, image: bytes) -> None:
    found = served.ask(PATH, asked(image, b"no image"))
    assert (found.status, found.json["error"]["code"]) == (422, "image_format")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"inputs": []}',
        b'{"inputs": [{"name": "image", "datatype": "FP32", "shape": [1], "data": [1]}]}',
        b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["%%"]}]}',
        b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": "x"}]}',
        b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [0], "data": []}]}',
        b"[" * 100_000,
    ],
)
def test_what_does_not_follow_the_protocol_is_named(served: Served, body: bytes) -> None:
    found = served.ask(PATH, body)
    assert (found.status, found.json["error"]["code"]) == (400, "inference_request_invalid")


@pytest.mark.parametrize("cut", [0, 3, 10])
def test_binary_elements_that_are_cut_are_named(served: Served, image: bytes, cut: int) -> None:
    data = struct.pack("<I", len(image)) + image
    given = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [given]}).encode()
    whole = served.ask(PATH, head + data, inference_header_content_length=str(len(head)))
    assert whole.status == 200
    found = served.ask(PATH, head + data[:cut], inference_header_content_length=str(len(head)))
    assert (found.status, found.json["error"]["code"]) == (400, "inference_request_invalid")


def test_metadata_and_readiness(served: Served) -> None:
    assert served.ask("/v2").json["name"] == "edge-serve"
    assert served.ask("/v2/health/ready").json == {"ready": True}
    described = served.ask("/v2/models/phantom-patch").json
    assert [each["name"] for each in described["inputs"]] == ["image"]
    assert served.ask("/v2/models/phantom-patch/ready").status == 200
    assert served.ask("/v2/models/nobody").status == 404


def test_tritons_client_works_unchanged(served: Served, image: bytes) -> None:
    client_module = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    assert COMMITTED.is_dir()
    client = client_module.InferenceServerClient(f"127.0.0.1:{served.port}")
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("phantom-patch")
    assert client.get_model_metadata("phantom-patch")["name"] == "phantom-patch"
    given = client_module.InferInput("image", [1], "BYTES")
    given.set_data_from_numpy(np.array([image], dtype=object))
    wanted = [client_module.InferRequestedOutput(name, binary_data=False) for name in ("decision", "score")]
    plain = served.ask("/v1/predict", image).json
    for outputs in (wanted, None):
        found = client.infer("phantom-patch", [given], outputs=outputs)
        assert found.as_numpy("score").tolist() == [plain["score"]]
    client.close()
