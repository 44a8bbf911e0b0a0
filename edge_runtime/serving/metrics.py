"""Metrics in the text format of Prometheus. Labels are routes, models and codes; never names or paths."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edge_runtime.decision.verdict import Reason
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.serving.body import Uploads
from edge_runtime.serving.exchange import Exchange
from edge_runtime.serving.models import Models, State
from edge_runtime.serving.work_queue import WorkQueue

CONTENT_TYPE = CONTENT_TYPE_LATEST
_DECISION = ("model", "version", "decision", "reason")
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The metrics of one service."""

    def __init__(self, models: Models, queue: WorkQueue, uploads: Uploads) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._models, self._registry = models, CollectorRegistry()
        own = self._registry
        self._requests = Counter("edge_requests", "Requests.", ("route", "status"), registry=own)
        self._seconds = Histogram(
            "edge_request_seconds", "Time to the end of the response.", ("route",), buckets=_SECONDS, registry=own
        )
        self._decisions = Counter("edge_decisions", "Predictions.", _DECISION, registry=own)
        self._refusals = Counter("edge_refusals", "Images without a prediction.", ("model", "code"), registry=own)
        self._reruns = Counter("edge_reruns", "Predictions that the float32 file decided.", ("model",), registry=own)
        self._answered, self._took = cache(self._requests.labels), cache(self._seconds.labels)
        self._ready = Gauge(
            "edge_model_ready", "1 if the model's self-test passed.", ("model", "version"), registry=own
        )
        places = Gauge("edge_queue_places", "Places in the queue.", registry=own)
        places.set(queue.places)
        for name, text, value in (
            ("edge_queue_waiting", "Requests that wait for a worker.", lambda: queue.waiting),
            ("edge_queue_running", "Requests that a worker answers.", lambda: queue.running),
            ("edge_upload_bytes", "Bytes of all bodies in memory.", lambda: uploads.held_bytes),
        ):
            Gauge(name, text, registry=own).set_function(value)

    def request(self, exchange: Exchange, seconds: float) -> None:
        """Count a request."""
        self._answered(exchange.route, exchange.status).inc()
        self._took(exchange.route).observe(seconds)

    def answer(self, model: str, answer: Prediction | Failure) -> None:
        """Count a result."""
        if isinstance(answer, Failure):
            self._refusals.labels(model, answer.error.code).inc()
            return
        verdict = answer.verdict
        self._decisions.labels(model, answer.version, verdict.decision.value, verdict.reason.value).inc()
        if verdict.reason is Reason.PRECISION_RERUN:
            self._reruns.labels(model).inc()

    def text(self) -> bytes:
        """Return all metrics."""
        self._ready.clear()
        for model in self._models:
            version = model.loaded.manifest.spec.version
            self._ready.labels(model.name, version).set(model.state is State.READY)
        return generate_latest(self._registry)
