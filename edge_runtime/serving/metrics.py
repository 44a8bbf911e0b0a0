"""Counters for Prometheus at ``/metrics``: requests, decisions, refusals, reruns, queue and latency."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_runtime.decision.verdict import Reason
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.serving.log import log
from edge_runtime.serving.models import ModelPool
from edge_runtime.serving.work_queue import WorkQueue

TEXT = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The counters of one service."""

    def __init__(self, queue: WorkQueue, models: ModelPool) -> None:
        self._registry = CollectorRegistry()
        here = self._registry
        self._requests = Counter("edge_requests", "Requests by route and status.", ("route", "status"), registry=here)
        self._latency = Histogram(
            "edge_request_seconds", "Time of a request.", ("route",), buckets=_SECONDS, registry=here
        )
        self._decisions = Counter("edge_decisions", "Predictions by decision and reason.", _DECISION, registry=here)
        self._refusals = Counter("edge_refusals", "Images without a prediction.", ("model", "code"), registry=here)
        self._reruns = Counter("edge_reruns", "Predictions that the float32 file decided.", ("model",), registry=here)
        Gauge("edge_queue", "Requests that run or wait.", registry=here).set_function(lambda: float(queue.held))
        Gauge("edge_ready", "1 if every self-test passed.", registry=here).set_function(lambda: float(models.ready))

    def answered(self, answer: Prediction | Failure, model: str) -> None:
        """Count an answer to an image."""
        if isinstance(answer, Failure):
            self._refusals.labels(model, answer.error.code).inc()
            return
        verdict = answer.verdict
        self._decisions.labels(model, answer.version, verdict.decision.value, verdict.reason.value).inc()
        if verdict.reason is Reason.PRECISION_RERUN:
            self._reruns.labels(model).inc()

    def requested(self, route: str, status: int, seconds: float) -> None:
        """Count a response."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all counters in Prometheus' text format."""
        return generate_latest(self._registry)


_DECISION = ("model", "version", "decision", "reason")


class Observed:
    """ASGI middleware that counts and logs each response: route, status and time, never the address itself."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]) -> None:
        self._app, self._metrics, self._routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note its response; 499 stands for a client that left first."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 499

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = self._route(scope["path"])
            seconds = time.perf_counter() - began
            self._metrics.requested(route, status, seconds)
            if not route.startswith(("/health", "/page", "/metrics")):
                log("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1e3, 2))

    def _route(self, path: str) -> str:
        """Return the route of a path, with names replaced: there are few routes, and none is a client's text."""
        if path in self._routes:
            return path
        parts = path.split("/")
        if path.startswith("/v1/models/") and len(parts) == 4:
            return "/v1/models/{name}"
        if path.startswith("/v2/models/") and len(parts) in (4, 5) and parts[4:] in ([], ["ready"], ["infer"]):
            return "/".join(["/v2/models/{name}", *parts[4:]])
        return "/page" if path.startswith("/page/") else "other"
