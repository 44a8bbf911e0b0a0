"""The endpoints of version 1: predictions, slides, models, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any

from starlette.requests import Request

from edge_runtime.assurance.audit.recorder import NO_RECORDER, Recorder
from edge_runtime.errors import EdgeError
from edge_runtime.images.region import Region
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.serialisation.records import to_dict
from edge_runtime.serving import metrics as metric
from edge_runtime.serving.answers import BYTES, Answer, Question, Wanted, answer
from edge_runtime.serving.body import Departure, Uploads, read_body, unless_gone
from edge_runtime.serving.exchange import Exchange
from edge_runtime.serving.forms import Form, parse_form
from edge_runtime.serving.metrics import Metrics
from edge_runtime.serving.models import Models, ServedModel
from edge_runtime.serving.problems import (
    BAD_REQUEST,
    JSON,
    MEDIA_TYPE,
    UNAVAILABLE,
    Problem,
    invalid,
    problem_of,
)
from edge_runtime.serving.replies import OK, Reply, headers_of, json_bytes, json_reply
from edge_runtime.serving.work_queue import WorkQueue

MODEL, REGION, HEATMAP, SCALE = "model", "region", "heatmap", "microns_per_pixel"
PREDICT_PARAMETERS = frozenset((MODEL, REGION, HEATMAP, SCALE))
TILES_PARAMETERS = frozenset((MODEL, SCALE))
_LIVE = json_reply({"status": "live"})
_FORM = b"multipart/form-data"
_LARGE_FORM = 1 << 20
"""Larger forms are parsed in a thread, so that the event loop stays free."""


@dataclass(frozen=True)
class Core:
    """What all endpoints share."""

    models: Models
    queue: WorkQueue
    uploads: Uploads
    metrics: Metrics
    recorder: Recorder = NO_RECORDER

    async def count(self, model: ServedModel, answer: Prediction | Failure | None) -> None:
        """Count an answer in the metrics and for the audit log; None for a slide."""
        loaded = model.loaded.predictor
        self.metrics.answer(model.name, loaded.spec.version, answer)
        if answer is None:
            self.recorder.count(loaded.digest)
        else:
            self.recorder.answer(answer, loaded.digest)
        if self.recorder.each:
            await asyncio.to_thread(self.recorder.tick)


async def predict(core: Core, request: Request) -> Reply:
    """``POST /v1/predict``: the result for one image."""
    return await _answered(core, request, PREDICT_PARAMETERS)


async def tiles(core: Core, request: Request) -> Reply:
    """``POST /v1/tiles``: the result for a slide, tile by tile."""
    return await _answered(core, request, TILES_PARAMETERS)


async def models(core: Core, request: Request) -> Reply:
    """``GET /v1/models``: the models and what they take."""
    default = core.models.default
    return json_reply({"models": [_row(model, default) for model in core.models]})


async def model(core: Core, request: Request) -> Reply:
    """``GET /v1/models/{name}``: the manifest with spec and measured figures, and the model card."""
    found = core.models.get(request.path_params["name"])
    Exchange.of(request.scope).model = found.name
    loaded = found.loaded
    try:
        card = loaded.card()
    except EdgeError as error:
        raise problem_of(error) from error
    about = {"bundle": loaded.predictor.digest, "manifest": to_dict(loaded.manifest), "card": card}
    policy = loaded.predictor.site_policy
    site = {} if policy is None else {"site_policy": policy.to_dict()}
    return json_reply({**_row(found, core.models.default), **about, **site})


async def live(core: Core, request: Request) -> Reply:
    """``GET /health/live``: the process answers."""
    return _LIVE


async def ready(core: Core, request: Request) -> Reply:
    """``GET /health/ready``: 200 if the self-test of every model has passed, else 503."""
    passed = core.models.ready
    states = {model.name: model.state.value for model in core.models}
    body = {"status": "ready" if passed else "not ready", "models": states}
    return json_reply(body, OK if passed else UNAVAILABLE)


async def metrics(core: Core, request: Request) -> Reply:
    """``GET /metrics``: for Prometheus."""
    return Reply(core.metrics.text(), headers=headers_of(metric.CONTENT_TYPE))


async def ask(core: Core, model: ServedModel, question: Question, request: Request) -> Answer:
    """Return the answer of a model, after a place in the queue.

    Raises:
        Problem: the queue is full, the model is not ready, or the question does not suit the model.
        ClientGone: the client closed the connection.
    """
    exchange = Exchange.of(request.scope)
    exchange.model = model.name
    model.require_ready()
    departure: Departure = request.scope["state"][Departure.KEY]
    try:
        found = await unless_gone(departure, lambda: core.queue.run(partial(_work, model, question, departure.check)))
    except EdgeError as error:
        raise problem_of(error) from error
    exchange.code = found.code
    await core.count(model, found.counted)
    return found


def _work(model: ServedModel, question: Question, check: Callable[[], None]) -> Answer:
    with model.use() as loaded:
        return answer(loaded.predictor, question, check)


async def _answered(core: Core, request: Request, known: frozenset[str]) -> Reply:
    exchange, given = Exchange.of(request.scope), query_of(request)
    check_known(given, known)
    headers = dict(request.scope["headers"])
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind == JSON.encode():
        raise Problem(
            MEDIA_TYPE, "media_type", "Found JSON, expected the bytes of an image, or multipart/form-data. Send those."
        )
    if MODEL in given:
        core.models.get(given[MODEL])  # before the body is read
    with core.uploads.lease() as lease:
        body = await read_body(headers, request.receive, lease, core.uploads.limits)
        exchange.body_read = True
        form = await _form(body, headers) if kind == _FORM else Form(body)
        del body
        check_known(form.fields, known)
        if twice := form.fields.keys() & given.keys():
            raise invalid(min(twice), "two values", "one, in the address or in the form")
        given |= form.fields
        found = await ask(core, core.models.get(given.get(MODEL)), _question(form, given, known), request)
    retry = {"Retry-After": "5"} if found.status == UNAVAILABLE else None
    return json_bytes(found.line, found.status, retry)


def query_of(request: Request) -> dict[str, str]:
    """Return the parameters of the address.

    Raises:
        Problem: ``parameter_invalid``, if one is given twice.
    """
    if not request.scope["query_string"]:
        return {}
    given = dict(request.query_params)
    if len(request.query_params.multi_items()) != len(given):
        raise Problem(BAD_REQUEST, "parameter_invalid", "Found a parameter twice, expected it once. Remove one.")
    return given


async def _form(body: bytes, headers: dict[bytes, bytes]) -> Form:
    kind = headers[b"content-type"]
    return await asyncio.to_thread(parse_form, body, kind) if len(body) > _LARGE_FORM else parse_form(body, kind)


def _question(form: Form, given: Mapping[str, str], known: frozenset[str]) -> Question:
    wanted = Wanted.TILES if known is TILES_PARAMETERS else Wanted.PREDICTION
    heatmap = given.get(HEATMAP, "0")
    if heatmap not in ("0", "1"):
        raise invalid(HEATMAP, heatmap, "0 or 1")
    if heatmap == "1":
        wanted = Wanted.HEATMAP
    return Question(form.image, wanted, form.name or BYTES, region_of(given), scale_of(given))


def region_of(given: Mapping[str, Any]) -> Region | None:
    """Return the region of the parameters; None without one.

    Raises:
        Problem: ``region_invalid``.
    """
    if REGION not in given:
        return None
    try:
        return Region.parse(str(given[REGION]))
    except EdgeError as error:
        raise problem_of(error) from None


def scale_of(given: Mapping[str, Any]) -> float | None:
    """Return the stated scale in microns per pixel; None without one.

    Raises:
        Problem: ``parameter_invalid``.
    """
    if SCALE not in given:
        return None
    try:
        found = float(given[SCALE])
    except (TypeError, ValueError):
        found = float("nan")
    if not (isfinite(found) and found > 0):
        raise invalid(SCALE, str(given[SCALE]), "a number above 0")
    return found


def check_known(given: Mapping[str, str], known: frozenset[str]) -> None:
    """Raise the problem ``parameter_unknown`` if there is another parameter than those known."""
    if unknown := given.keys() - known:
        names = ", ".join(sorted(known))
        raise Problem(
            BAD_REQUEST,
            "parameter_unknown",
            f"Found the parameter {min(unknown)[:60]!r}, expected only {names}. Remove it.",
        )


def _row(model: ServedModel, default: str) -> dict[str, object]:
    spec = model.loaded.manifest.spec
    return {
        "name": spec.name,
        "version": spec.version,
        "summary": spec.summary,
        "labels": list(spec.labels),
        "positive": list(spec.positive),
        "region": spec.region is not None,
        "microns_per_pixel": spec.microns_per_pixel,
        "default": model.name == default,
        "state": model.state.value,
    }
