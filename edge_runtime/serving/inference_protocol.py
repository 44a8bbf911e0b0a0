"""The Open Inference Protocol (KServe v2): metadata, readiness, and ``infer`` with encoded images as BYTES.

A model has one input ``image`` (BYTES, shape [N]) and the outputs ``decision``, ``reason``, ``label`` (BYTES),
``score`` (FP64) and ``answer`` (BYTES: the JSON line of ``/v1/predict``), shape [N] each. Triton's binary extension is
understood for inputs; outputs are JSON. Source: https://kserve.github.io/website/latest/modelserving/data_plane/v2_protocol/
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_runtime import __version__
from edge_runtime.errors import EdgeError, UsageError
from edge_runtime.images.region import Region
from edge_runtime.inference.prediction import Failure
from edge_runtime.serving import answers
from edge_runtime.serving.asked import NAMELESS, AskedImage
from edge_runtime.serving.body import BodyLimits, read_body
from edge_runtime.serving.metrics import Metrics
from edge_runtime.serving.models import ModelPool, ServedModel
from edge_runtime.serving.problems import ProblemError, status_of
from edge_runtime.serving.work_queue import WorkQueue

_JSON = "application/json"
_MOST_IMAGES = 64
_HEADER_LENGTH = "inference-header-content-length"
_INPUTS = [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
_TYPES = {"decision": "BYTES", "reason": "BYTES", "label": "BYTES", "score": "FP64", "answer": "BYTES"}


@dataclass(frozen=True)
class InferenceProtocol:
    """The endpoints below ``/v2``."""

    models: ModelPool
    queue: WorkQueue
    limits: BodyLimits
    metrics: Metrics

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/models/{name}", self.metadata),
            Route("/v2/models/{name}/ready", self.model_ready),
            Route("/v2/models/{name}/infer", self.infer, methods=["POST"]),
        ]

    async def server(self, request: Request) -> Response:
        """Describe the server."""
        return _json({"name": "edge-serve", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def live(self, request: Request) -> Response:
        """Say that the process answers."""
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        """Say whether every self-test passed."""
        return _json({"ready": self.models.ready}, 200 if self.models.ready else 503)

    async def metadata(self, request: Request) -> Response:
        """Describe a model."""
        spec = self.models.known(request.path_params["name"]).spec
        outputs = [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in _TYPES.items()]
        known = {"name": spec.name, "versions": [spec.version], "platform": "edge_predict"}
        return _json({**known, "inputs": _INPUTS, "outputs": outputs})

    async def model_ready(self, request: Request) -> Response:
        """Say whether a model's self-test passed."""
        model = self.models.known(request.path_params["name"])
        return _json({"name": model.spec.name, "ready": model.fault is None}, 200 if model.fault is None else 503)

    async def infer(self, request: Request) -> Response:
        """Answer encoded images; an image that is refused ends the request with its error."""
        self.queue.check_free()
        asked = _asked(await read_body(request, self.limits), request.headers.get(_HEADER_LENGTH))
        model = self.models.find(request.path_params["name"])
        found = await self.queue.run(lambda: self._answers(model, asked), request)
        values: dict[str, list[Any]] = {name: [] for name in _TYPES}
        for each in found:
            self.metrics.answered(each.result, model.spec.name)
            if isinstance(each.result, Failure):
                error = each.result.error
                raise ProblemError(status_of(error), error.code, error.message)
            verdict = each.result.verdict
            texts = verdict.decision.value, verdict.reason.value, verdict.label
            for name, value in zip(_TYPES, (*texts, verdict.score, each.line.decode()), strict=True):
                values[name].append(value)
        wanted = asked.outputs or tuple(_TYPES)
        outputs = [
            {"name": name, "datatype": _TYPES[name], "shape": [len(found)], "data": values[name]} for name in wanted
        ]
        identity = {} if asked.identity is None else {"id": asked.identity}
        spec = model.spec
        return _json({"model_name": spec.name, "model_version": spec.version, **identity, "outputs": outputs})

    def _answers(self, model: ServedModel, asked: _Asked) -> list[answers.Answer]:
        return [
            answers.answer(model, AskedImage(image, NAMELESS, model.spec.name, asked.region, False, None))
            for image in asked.images
        ]


@dataclass(frozen=True)
class _Asked:
    """A request: the encoded images, the region for all of them, the wanted outputs, and the client's identifier."""

    images: tuple[bytes, ...]
    region: Region | None
    outputs: tuple[str, ...]
    identity: str | None


def _asked(body: bytes, header_length: str | None) -> _Asked:
    """Parse a request.

    Raises:
        ProblemError: it does not follow the protocol (400).
        RegionError: the parameter ``region`` is not ``x,y,radius``.
    """
    try:
        length = len(body) if header_length is None else int(header_length)
        header = json.loads(body[:length])
        (given,) = header["inputs"]
        if given["name"] != "image" or given["datatype"] != "BYTES":
            raise ValueError
        parameters = given.get("parameters") or {}
        images = _binary(body[length:]) if "binary_data_size" in parameters else _encoded(given["data"])
        region = (header.get("parameters") or {}).get("region")
        outputs = tuple(output["name"] for output in header.get("outputs") or ())
        if not images or len(images) > _MOST_IMAGES or any(name not in _TYPES for name in outputs):
            raise ValueError
        identity = header.get("id")
        if identity is not None and not isinstance(identity, str):
            raise ValueError
        return _Asked(images, None if region is None else Region.parse(region), outputs, identity)
    except (EdgeError, UsageError):
        raise
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, binascii.Error, RecursionError):
        raise ProblemError(
            400,
            "inference_request_invalid",
            f"found a request that does not follow the protocol, expected 1 to {_MOST_IMAGES} images in the input "
            "'image' of datatype BYTES. GET /v2/models/NAME describes it.",
        ) from None


def _binary(data: bytes) -> tuple[bytes, ...]:
    """Split binary BYTES: before each element stands its length, uint32 little-endian."""
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        if at + 4 + size > len(data):
            raise ValueError
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return tuple(found)


def _encoded(data: Sequence[str]) -> tuple[bytes, ...]:
    """Decode BYTES in JSON, which are base64 here, because JSON cannot hold the bytes of an image."""
    if not isinstance(data, list):
        raise TypeError
    return tuple(base64.b64decode(text, validate=True) for text in data)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type=_JSON)
