"""Metrics in the text format of Prometheus. Labels are routes, models, hashes and codes; never names or paths."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import fields
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edge_runtime import __version__
from edge_runtime.assurance.audit.events import ModelAdmitted
from edge_runtime.assurance.audit.recorder import NO_RECORDER, Recorder
from edge_runtime.decision.verdict import Reason
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.serialisation.records import to_dict
from edge_runtime.serving.body import Uploads
from edge_runtime.serving.exchange import Exchange
from edge_runtime.serving.models import Models, ServedModel, State
from edge_runtime.serving.work_queue import WorkQueue

CONTENT_TYPE = CONTENT_TYPE_LATEST
_MODEL = ("model", "version")
_DECISION = (*_MODEL, "decision", "reason")
_ABOUT = tuple(each.name for each in fields(ModelAdmitted))
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
SCORES = tuple(number / 20 for number in range(1, 21))
"""Upper bounds of the buckets of scores, in steps of 0.05."""
CONFIDENCES = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)
"""The same for confidences: finer where they are common."""
FAMILIARITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 5.0, 10.0)
"""The same for familiarity; above 1 the image is referred."""


class Metrics:
    """The metrics of one service."""

    def __init__(self, models: Models, queue: WorkQueue, uploads: Uploads, recorder: Recorder = NO_RECORDER) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._models, self._recorder, self._registry = models, recorder, CollectorRegistry()
        own = self._registry
        self._requests = Counter("edge_requests", "Requests.", ("route", "status"), registry=own)
        self._seconds = Histogram(
            "edge_request_seconds", "Time to the end of the response.", ("route",), buckets=_SECONDS, registry=own
        )
        self._answered, self._took = cache(self._requests.labels), cache(self._seconds.labels)
        self._answers = _AnswerMetrics(own)
        self._ready = Gauge("edge_model_ready", "1 if the model's self-test passed.", _MODEL, registry=own)
        self._about = Gauge("edge_model_info", "The models that are loaded.", _ABOUT, registry=own)
        self._head = Gauge("edge_audit_info", "The hash of the last audit entry.", ("head",), registry=own)
        build = Gauge("edge_build_info", "Software of the service.", ("version", "python"), registry=own)
        build.labels(__version__, platform.python_version()).set(1)
        Gauge("edge_start_time_seconds", "Start of the service, since 1970.", registry=own).set(time.time())
        Gauge("edge_queue_places", "Places in the queue.", registry=own).set(queue.places)
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("edge_queue_waiting", "Requests that wait for a worker.", lambda: queue.waiting),
            ("edge_queue_running", "Requests that a worker answers.", lambda: queue.running),
            ("edge_upload_bytes", "Bytes of all bodies in memory.", lambda: uploads.held_bytes),
            ("edge_audit_enabled", "1 if there is an audit log.", lambda: recorder.on),
            (
                "edge_audit_entries",
                "Number of the last audit entry.",
                lambda: recorder.head.number if recorder.head else 0,
            ),
        )
        for name, text, value in gauges:
            Gauge(name, text, registry=own).set_function(value)
        self._audit_failures = Counter("edge_audit_failures", "Failed attempts to write the audit log.", registry=own)
        self._counted_failures = 0

    def request(self, exchange: Exchange, seconds: float) -> None:
        """Count a request."""
        self._answered(exchange.route, exchange.status).inc()
        self._took(exchange.route).observe(seconds)

    def answer(self, model: str, version: str, answer: Prediction | Failure | None) -> None:
        """Count a result; None for a slide. ``version`` is the model's, for results that do not name theirs."""
        self._answers.count(model, version, answer)

    def text(self) -> bytes:
        """Return all metrics."""
        for gauge in (self._ready, self._about, self._head):
            gauge.clear()
        for model in self._models:
            self._describe(model)
        if self._recorder.head is not None:
            self._head.labels(self._recorder.head.hash).set(1)
        failures = self._recorder.failures
        self._audit_failures.inc(failures - self._counted_failures)
        self._counted_failures = failures
        return generate_latest(self._registry)

    def _describe(self, model: ServedModel) -> None:
        loaded = model.loaded
        about = to_dict(ModelAdmitted.of(loaded.predictor, certificate=loaded.certificate))
        self._about.labels(*(about.get(name, "") for name in _ABOUT)).set(1)
        self._ready.labels(model.name, loaded.manifest.spec.version).set(model.state is State.READY)


class _AnswerMetrics:
    """What notices drift: decisions, refusals, and the distributions of what they follow from."""

    def __init__(self, own: CollectorRegistry) -> None:
        self._decisions = Counter("edge_decisions", "Predictions.", _DECISION, registry=own)
        self._refusals = Counter("edge_refusals", "Images without a prediction.", ("model", "code"), registry=own)
        self._reruns = Counter("edge_reruns", "Predictions that the float32 file decided.", ("model",), registry=own)
        self._slides = Counter("edge_slides", "Slides that were answered tile by tile.", _MODEL, registry=own)
        self._last = Gauge("edge_last_answer_timestamp_seconds", "Time of the last prediction.", _MODEL, registry=own)
        self._scores, self._confidences, self._familiarities = (
            Histogram(f"edge_{name}_ratio", text, _MODEL, buckets=buckets, registry=own)
            for name, text, buckets in (
                ("score", "Positive score of predictions, 0 to 1.", SCORES),
                ("confidence", "Confidence of predictions, 0 to 1.", CONFIDENCES),
                ("familiarity", "Familiarity of predictions; above 1 the image is referred.", FAMILIARITIES),
            )
        )

    def count(self, model: str, version: str, answer: Prediction | Failure | None) -> None:
        """Count a result; None for a slide."""
        if answer is None:
            self._slides.labels(model, version).inc()
        elif isinstance(answer, Failure):
            self._refusals.labels(model, answer.error.code).inc()
        else:
            self._count(model, answer)

    def _count(self, model: str, answer: Prediction) -> None:
        verdict, version = answer.verdict, answer.version
        self._decisions.labels(model, version, verdict.decision.value, verdict.reason.value).inc()
        if verdict.reason is Reason.PRECISION_RERUN:
            self._reruns.labels(model).inc()
        self._scores.labels(model, version).observe(verdict.score)
        self._confidences.labels(model, version).observe(verdict.confidence)
        if answer.familiarity is not None:
            self._familiarities.labels(model, version).observe(answer.familiarity)
        self._last.labels(model, version).set(time.time())
