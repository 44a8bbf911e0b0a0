"""The endpoints of version 1, health and metrics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_runtime.errors import MachineError
from edge_runtime.inference.prediction import Failure
from edge_runtime.serving import answers
from edge_runtime.serving.asked import asked_image
from edge_runtime.serving.body import BodyLimits
from edge_runtime.serving.metrics import TEXT, Metrics
from edge_runtime.serving.models import ModelPool
from edge_runtime.serving.work_queue import WorkQueue

JSON = "application/json"


@dataclass(frozen=True)
class Service:
    """What the endpoints share."""

    models: ModelPool
    queue: WorkQueue
    limits: BodyLimits
    metrics: Metrics

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/v1/predict", self.predict, methods=["POST"]),
            Route("/v1/tiles", self.tiles, methods=["POST"]),
            Route("/v1/models", self.list_models),
            Route("/v1/models/{name}", self.model),
            Route("/health/live", self.live),
            Route("/health/ready", self.ready),
            Route("/metrics", self.counters),
        ]

    async def predict(self, request: Request) -> Response:
        """Answer one image with a line of docs/prediction.schema.json; 422 if the image is refused."""
        self.queue.check_free()
        asked = await asked_image(request, self.limits)
        model = self.models.find(asked.model)
        found = await self.queue.run(lambda: answers.answer(model, asked), request)
        self.metrics.answered(found.result, model.spec.name)
        return Response(found.line, _status(found), media_type=JSON)

    async def tiles(self, request: Request) -> Response:
        """Answer a slide tile by tile."""
        self.queue.check_free()
        asked = await asked_image(request, self.limits)
        model = self.models.find(asked.model)
        found = await self.queue.run(lambda: answers.tiles(model, asked), request)
        return _json(found)

    async def list_models(self, request: Request) -> Response:
        """List the models."""
        return _json({"models": self.models.described()})

    async def model(self, request: Request) -> Response:
        """Describe one model: spec, measured figures and card."""
        model = self.models.known(request.path_params["name"])
        return _json(await self.queue.aside(model.details))

    async def live(self, request: Request) -> Response:
        """Say that the process answers."""
        return _json({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """Say whether the self-test of every model passed; 503 with the reasons if not."""
        faults = {model.spec.name: model.fault for model in self.models if model.fault is not None}
        return _json({"status": "not ready", "models": faults}, 503) if faults else _json({"status": "ready"})

    async def counters(self, request: Request) -> Response:
        """Return the counters for Prometheus."""
        return Response(self.metrics.text(), headers={"Content-Type": TEXT})


def _status(found: answers.Answer) -> int:
    if not isinstance(found.result, Failure):
        return 200
    return 503 if isinstance(found.result.error, MachineError) else 422


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type=JSON)
