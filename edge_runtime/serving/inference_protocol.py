"""The Open Inference Protocol (KServe v2) over HTTP, so that clients of Triton and KServe work unchanged.

An image is one BYTES tensor with one element: in the binary extension of Triton's client, or base64 in JSON. Errors
have the form of the protocol, ``{"error": "CODE: message"}``. See docs/reference/http.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from edge_runtime import __version__
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.serving.answers import Answer, Question, Wanted
from edge_runtime.serving.body import read_body
from edge_runtime.serving.endpoints import HEATMAP, REGION, SCALE, Core, ask, region_of, scale_of
from edge_runtime.serving.exchange import Exchange
from edge_runtime.serving.models import ServedModel
from edge_runtime.serving.problems import BAD_REQUEST, INTERNAL, NOT_FOUND, UNAVAILABLE, Problem, line
from edge_runtime.serving.replies import Reply, headers_of, json_bytes, json_reply

IMAGE, PLATFORM = "image", "edge-predict"
OUTPUTS = {
    "result": "BYTES",
    "decision": "BYTES",
    "reason": "BYTES",
    "label": "BYTES",
    "score": "FP64",
    "confidence": "FP64",
}
"""Output tensors, each with one element; ``result`` is the JSON of ``edge-predict --json``."""

_HEADER_LENGTH = b"inference-header-content-length"
_OURS = frozenset((REGION, SCALE, HEATMAP))
_OF_THE_PROTOCOL = frozenset(
    ("binary_data_output", "sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "content_type")
)
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class _Output:
    """A requested output, and whether its bytes follow the JSON."""

    name: str
    binary: bool


async def server(core: Core, request: Request) -> Reply:
    """``GET /v2``: name and version of the service."""
    about = {"name": PLATFORM, "version": __version__, "extensions": ["binary_tensor_data"]}
    return json_reply(about)


async def model(core: Core, request: Request) -> Reply:
    """``GET /v2/models/{name}``: the tensors of a model."""
    found = _model(core, request)
    outputs = [{"name": name, "datatype": kind, "shape": [1]} for name, kind in OUTPUTS.items()]
    about = {
        "name": found.name,
        "versions": [found.loaded.manifest.spec.version],
        "platform": PLATFORM,
        "inputs": [{"name": IMAGE, "datatype": "BYTES", "shape": [1]}],
        "outputs": outputs,
    }
    return json_reply(about)


async def model_ready(core: Core, request: Request) -> Reply:
    """``GET /v2/models/{name}/ready``: 200 if the model's self-test has passed."""
    found = _model(core, request)
    found.require_ready()
    return json_reply({"name": found.name, "ready": True})


async def infer(core: Core, request: Request) -> Reply:
    """``POST /v2/models/{name}/infer``: the result for one image."""
    found, headers = _model(core, request), dict(request.scope["headers"])
    with core.uploads.lease() as lease:
        body = await read_body(headers, request.receive, lease, core.uploads.limits)
        Exchange.of(request.scope).body_read = True
        asked, rest = _split(body, headers)
        outputs = _outputs(asked)
        question = _question(asked, rest)
        answer = await ask(core, found, question, request)
    if not isinstance(answer.counted, Prediction):
        raise _problem(answer)
    head = {
        "model_name": found.name,
        "model_version": answer.counted.version,
        **({"id": asked["id"]} if isinstance(asked.get("id"), str) else {}),
    }
    return _response(head, _values(answer, answer.counted), outputs)


def error_body(problem: Problem) -> bytes:
    """Return an error in the form of the protocol."""
    return line({"error": f"{problem.code}: {problem.message}"})


def _model(core: Core, request: Request) -> ServedModel:
    found = core.models.get(request.path_params["name"])
    Exchange.of(request.scope).model = found.name
    version = request.path_params.get("version")
    if version not in (None, found.loaded.manifest.spec.version):
        raise Problem(NOT_FOUND, "version_not_found", "Found another version of this model. Leave the version out.")
    return found


def _invalid(message: str) -> Problem:
    return Problem(BAD_REQUEST, "infer_invalid", f"{message} See docs/reference/http.md.")


def _split(body: bytes, headers: Mapping[bytes, bytes]) -> tuple[dict[str, Any], bytes]:
    """Return the JSON of a request and the bytes after it."""
    given = headers.get(_HEADER_LENGTH)
    if given is not None and not (given.isdigit() and int(given) <= len(body)):
        raise _invalid("Found an invalid Inference-Header-Content-Length.")
    length = len(body) if given is None else int(given)
    try:
        asked = json.loads(body[:length])
    except (ValueError, RecursionError):
        raise _invalid("Found no JSON, expected an inference request.") from None
    if not isinstance(asked, dict):
        raise _invalid("Found no JSON object, expected an inference request.")
    return asked, body[length:]


def _question(asked: Mapping[str, Any], rest: bytes) -> Question:
    given = _parameters(asked)
    if unknown := given.keys() - _OURS - _OF_THE_PROTOCOL:
        raise _invalid(f"Found the parameter {min(unknown)[:60]!r}, expected only {', '.join(sorted(_OURS))}.")
    question = Question(_image(asked, rest), region=region_of(given), microns_per_pixel=scale_of(given))
    heatmap = given.get(HEATMAP, 0) in (1, "1", "true")  # True equals 1
    return replace(question, wanted=Wanted.HEATMAP) if heatmap else question


def _parameters(part: Mapping[str, Any]) -> dict[str, Any]:
    found = part.get("parameters", {})
    if not isinstance(found, dict):
        raise _invalid("Found parameters that are no object.")
    return found


def _image(asked: Mapping[str, Any], rest: bytes) -> bytes:
    inputs = asked.get("inputs")
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict)):
        raise _invalid("Expected one input.")
    tensor = inputs[0]
    if tensor.get("name") != IMAGE or tensor.get("datatype") != "BYTES":
        raise _invalid(f"Expected an input named {IMAGE} of datatype BYTES.")
    shape = tensor.get("shape")
    if not (isinstance(shape, list) and shape and all(type(side) is int and side == 1 for side in shape)):
        raise _invalid("Expected an input of shape [1]: one image a request.")
    size = _parameters(tensor).get("binary_data_size")
    if size is not None:
        return _element(rest, size)
    data = tensor.get("data")
    while isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, str):
        raise _invalid("Expected one string of base64 in data, or binary_data_size.")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("Found data that is not base64.") from None


def _element(rest: bytes, size: object) -> bytes:
    """Return the one element of a BYTES tensor: its length in four bytes, little-endian, then its bytes."""
    if not (type(size) is int and size == len(rest) >= _LENGTH.size):
        raise _invalid("Found another number of bytes after the JSON than binary_data_size.")
    (length,) = _LENGTH.unpack_from(rest)
    if length != len(rest) - _LENGTH.size:
        raise _invalid("Found more or less than one element in the BYTES tensor.")
    return rest[_LENGTH.size :]


def _outputs(asked: Mapping[str, Any]) -> list[_Output]:
    default = _parameters(asked).get("binary_data_output") is True
    given = asked.get("outputs")
    if given is None:
        return [_Output(name, default) for name in OUTPUTS]
    if not isinstance(given, list):
        raise _invalid("Found outputs that are no array.")
    found = []
    for each in given:
        name = each.get("name") if isinstance(each, dict) else None
        if name not in OUTPUTS:
            raise _invalid(f"Found an unknown output, expected {', '.join(OUTPUTS)}.")
        found.append(_Output(name, _parameters(each).get("binary_data", default) is True))
    return found


def _values(answer: Answer, prediction: Prediction) -> dict[str, str | float]:
    verdict = prediction.verdict
    return {
        "result": answer.line.decode("ascii").rstrip("\n"),
        "decision": verdict.decision.value,
        "reason": verdict.reason.value,
        "label": verdict.label,
        "score": verdict.score,
        "confidence": verdict.confidence,
    }


def _response(head: Mapping[str, object], values: Mapping[str, str | float], outputs: Sequence[_Output]) -> Reply:
    tensors: list[dict[str, object]] = []
    parts: list[bytes] = []
    for output in outputs:
        value = values[output.name]
        tensor: dict[str, object] = {"name": output.name, "datatype": OUTPUTS[output.name], "shape": [1]}
        if output.binary:
            parts.append(_packed(value))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            tensor["data"] = [value]
        tensors.append(tensor)
    body = line({**head, "outputs": tensors})
    if not parts:
        return json_bytes(body)
    headers = {"Inference-Header-Content-Length": str(len(body))}
    return Reply(body + b"".join(parts), headers=headers_of("application/octet-stream", headers))


def _packed(value: str | float) -> bytes:
    if isinstance(value, float):
        return struct.pack("<d", value)
    data = value.encode("utf-8")
    return _LENGTH.pack(len(data)) + data


def _problem(answer: Answer) -> Problem:
    if not isinstance(answer.counted, Failure):
        raise TypeError("a request for one image gets a prediction or a failure")
    error = answer.counted.error
    retry = {"Retry-After": "5"} if answer.status == UNAVAILABLE else None
    return Problem(answer.status or INTERNAL, error.code, error.message, retry)
