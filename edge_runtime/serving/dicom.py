"""``POST /v1/dicom``: one DICOM object in, its report and heatmap out, as DICOMweb has them in a response."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request

from edge_runtime.errors import DicomError, EdgeError, ImageError, MachineError
from edge_runtime.inference.prediction import Failure, Prediction
from edge_runtime.serving.body import Departure, read_body, unless_gone
from edge_runtime.serving.endpoints import HEATMAP, MODEL, Core, check_known, query_of
from edge_runtime.serving.exchange import Exchange
from edge_runtime.serving.models import ServedModel
from edge_runtime.serving.problems import (
    MEDIA_TYPE,
    UNPROCESSABLE,
    Problem,
    busy,
    invalid,
    problem_of,
)
from edge_runtime.serving.replies import Reply, headers_of

if TYPE_CHECKING:
    from edge_runtime.dicom.results import DicomResults

FRAME = "frame"
PARAMETERS = frozenset((MODEL, FRAME, HEATMAP))
MEDIA = "application/dicom"
NO_CONTENT, NOT_IMPLEMENTED = 204, 501
_TAKEN = frozenset((b"", b"application/dicom", b"application/octet-stream"))


@dataclass(frozen=True)
class _Wanted:
    """What a request asks for: the frame, from 1, and whether a heatmap is wanted."""

    frame: int | None
    heatmap: bool

    @classmethod
    def of(cls, given: Mapping[str, str]) -> _Wanted:
        heatmap, frame = given.get(HEATMAP, "1"), given.get(FRAME)
        if heatmap not in ("0", "1"):
            raise invalid(HEATMAP, heatmap, "0 or 1")
        if frame is not None and not (frame.isascii() and frame.isdigit() and int(frame[:9]) > 0 and len(frame) < 10):
            raise invalid(FRAME, frame, "a number from 1")
        return cls(None if frame is None else int(frame), heatmap == "1")


async def dicom(core: Core, request: Request) -> Reply:
    """Answer one object: 200 with report and heatmap, or 204 if it is nothing to answer, such as another report.

    Raises:
        Problem: as in :func:`edge_runtime.serving.endpoints.predict`; ``dicom_not_installed`` (501); and 422 if no
            report can be made, because the bytes are no readable DICOM object.
    """
    exchange, given = Exchange.of(request.scope), query_of(request)
    check_known(given, PARAMETERS)
    wanted, headers = _Wanted.of(given), dict(request.scope["headers"])
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() not in _TAKEN:
        message = "Found another media type, expected application/dicom: one object for each request. Send that."
        raise Problem(MEDIA_TYPE, "media_type", message)
    model = core.models.get(given.get(MODEL))
    exchange.model = model.name
    model.require_ready()
    _require_packages()
    with core.uploads.lease() as lease:
        body = await read_body(headers, request.receive, lease, core.uploads.limits)
        exchange.body_read = True
        found = await _ask(core, model, body, wanted, request)
    _count(core, model, found, exchange)
    return _multipart(found) if found.instances else Reply(b"", NO_CONTENT)


async def _ask(core: Core, model: ServedModel, body: bytes, wanted: _Wanted, request: Request) -> DicomResults:
    departure: Departure = request.scope["state"][Departure.KEY]
    try:
        return await unless_gone(departure, lambda: core.queue.run(partial(_work, model, body, wanted)))
    except ImageError as error:
        raise Problem(UNPROCESSABLE, error.code, error.message) from None
    except MachineError as error:
        raise busy(error.code, "The machine failed.", 5) from error
    except EdgeError as error:
        raise problem_of(error) from error


def _work(model: ServedModel, body: bytes, wanted: _Wanted) -> DicomResults:
    from edge_runtime.dicom.results import facts_of, results_of

    with model.use() as loaded:
        facts = facts_of(loaded.manifest, loaded.predictor.digest, loaded.predictor.site_policy)
        return results_of(loaded.predictor, facts, body, wanted.frame, heatmap=wanted.heatmap)


def _require_packages() -> None:
    from edge_runtime.dicom.dataset import require_pydicom

    try:
        require_pydicom("POST /v1/dicom")
    except DicomError as error:
        raise Problem(NOT_IMPLEMENTED, error.code, error.message) from None


def _count(core: Core, model: ServedModel, found: DicomResults, exchange: Exchange) -> None:
    counted: Prediction | Failure | None = None
    if found.answer is not None and found.answer.failure is not None:
        failure = found.answer.failure
        exchange.code = failure.code
        counted = Failure("", DicomError(failure.message, code=failure.code))
    elif found.answer is not None:
        counted = found.answer.prediction
    if counted is not None:
        core.metrics.answer(model.name, counted)


def _multipart(found: DicomResults) -> Reply:
    """Return the results as ``multipart/related`` (RFC 2387; PS3.18, 8.7.1), the report first."""
    boundary = secrets.token_hex(16)
    parts = b"".join(
        b"--%s\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n%s\r\n"
        % (boundary.encode("ascii"), len(content), content)
        for _, content in found.instances
    )
    kind = f'multipart/related; type="{MEDIA}"; boundary={boundary}'
    return Reply(parts + b"--%s--\r\n" % boundary.encode("ascii"), headers=headers_of(kind))
