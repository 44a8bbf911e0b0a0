"""``POST /v1/dicom``: one DICOM image in, its report and heatmap out, as DICOMweb has them in a response.

Presentation states and reports that may mark the region of the image are further parts of the body.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request

from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.dicom.refusals import Refusal
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
    from edge_runtime.dicom.study import Frame

FRAME, UNMARKED = "frame", "unmarked"
PARAMETERS = frozenset((MODEL, FRAME, HEATMAP, UNMARKED))
MEDIA, RELATED = "application/dicom", b"multipart/related"
NO_CONTENT, NOT_IMPLEMENTED = 204, 501
MOST_PARTS = 101
"""Largest number of parts of a body: an image, and the presentation states and reports of its study."""

_TAKEN = frozenset((b"", b"application/dicom", b"application/octet-stream", RELATED))
_REPORT, _WAIT = "report", "wait"


@dataclass(frozen=True)
class _Wanted:
    """What a request asks for.

    Attributes:
        frame: the frame, from 1, or all frames as one case.
        heatmap: whether a heatmap is wanted.
        waits: whether there is to be no report as long as no circle marks the region.
    """

    frame: Frame
    heatmap: bool
    waits: bool

    @classmethod
    def of(cls, given: Mapping[str, str]) -> _Wanted:
        heatmap, unmarked = given.get(HEATMAP, "1"), given.get(UNMARKED, _REPORT)
        if heatmap not in ("0", "1"):
            raise invalid(HEATMAP, heatmap, "0 or 1")
        if unmarked not in (_REPORT, _WAIT):
            raise invalid(UNMARKED, unmarked, f"{_REPORT} or {_WAIT}")
        return cls(_frame(given.get(FRAME)), heatmap == "1", unmarked == _WAIT)


def _frame(given: str | None) -> Frame:
    if given is None:
        return None
    if given == FrameChoice.ALL.value:
        return FrameChoice.ALL
    if given.isascii() and given.isdigit() and len(given) < 10 and int(given) > 0:
        return int(given)
    raise invalid(FRAME, given, f"a number from 1, or {FrameChoice.ALL.value}")


async def dicom(core: Core, request: Request) -> Reply:
    """Answer one object: 200 with report and heatmap, or 204 if it is nothing to answer, such as another report.

    Raises:
        Problem: as in :func:`edge_runtime.serving.endpoints.predict`; ``dicom_not_installed`` (501); and 422 if no
            report can be made: the bytes are no readable DICOM object, or no circle marks the region and the request
            says that it waits for one (``dicom_mark_missing``).
    """
    exchange, given = Exchange.of(request.scope), query_of(request)
    check_known(given, PARAMETERS)
    wanted, headers = _Wanted.of(given), dict(request.scope["headers"])
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() not in _TAKEN:
        message = "Found another media type, expected application/dicom, or multipart/related of it. Send that."
        raise Problem(MEDIA_TYPE, "media_type", message)
    model = core.models.get(given.get(MODEL))
    exchange.model = model.name
    model.require_ready()
    _require_packages()
    with core.uploads.lease() as lease:
        body = await read_body(headers, request.receive, lease, core.uploads.limits)
        exchange.body_read = True
        parts = _parts(body, headers.get(b"content-type", b""))
        found = await _ask(core, model, parts, wanted, request)
    await _count(core, model, found, exchange)
    return _multipart(found) if found.instances else Reply(b"", NO_CONTENT)


def _parts(body: bytes, content_type: bytes) -> list[bytes]:
    """Return the DICOM files of a body."""
    if content_type.partition(b";")[0].strip().lower() != RELATED:
        return [body]
    from edge_runtime.serving.multipart import parts_of

    return [part.content for part in parts_of(body, content_type, MOST_PARTS)]


async def _ask(core: Core, model: ServedModel, parts: list[bytes], wanted: _Wanted, request: Request) -> DicomResults:
    departure: Departure = request.scope["state"][Departure.KEY]
    try:
        return await unless_gone(departure, lambda: core.queue.run(partial(_work, model, parts, wanted)))
    except ImageError as error:
        raise Problem(UNPROCESSABLE, error.code, error.message) from None
    except MachineError as error:
        raise busy(error.code, "The machine failed.", 5) from error
    except EdgeError as error:
        raise problem_of(error) from error


def _work(model: ServedModel, parts: list[bytes], wanted: _Wanted) -> DicomResults:
    from edge_runtime.dicom.results import facts_of, image_and_marks, results_of

    image, marks = image_and_marks(parts)
    with model.use() as loaded:
        facts = facts_of(loaded.manifest, loaded.predictor.digest, loaded.predictor.site_policy)
        found = results_of(loaded.predictor, facts, image, wanted.frame, marks=marks, heatmap=wanted.heatmap)
    if wanted.waits and found.lacks_mark:
        message = "DICOM object: found no marked region, expected a circle. Send its presentation state or report too."
        raise DicomError(message, code=Refusal.MARK_MISSING.code)
    return found


def _require_packages() -> None:
    from edge_runtime.dicom.dataset import require_pydicom

    try:
        require_pydicom("POST /v1/dicom")
    except DicomError as error:
        raise Problem(NOT_IMPLEMENTED, error.code, error.message) from None


async def _count(core: Core, model: ServedModel, found: DicomResults, exchange: Exchange) -> None:
    counted: Prediction | Failure | None = None
    if found.answer is not None and found.answer.failure is not None:
        failure = found.answer.failure
        exchange.code = failure.code
        counted = Failure("", DicomError(failure.message, code=failure.code))
    elif found.answer is not None:
        counted = found.answer.prediction
    if counted is not None:
        await core.count(model, counted)


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
