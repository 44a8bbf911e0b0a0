"""Every refusal of the service as JSON: ``{"error": {"code": …, "message": …}}`` with a fitting status."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge_runtime.errors import BackendError, BundleError, BundleNotFoundError, EdgeError, ImageError, UsageError

CLOSE = {"Connection": "close"}
"""For a request whose body was not read to its end."""

_STATUS: tuple[tuple[type[EdgeError], int], ...] = (
    (ImageError, 422),
    (UsageError, 400),
    (BundleNotFoundError, 404),
    (BundleError, 500),
    (BackendError, 500),
)
_OF_HTTP = {404: "not_found", 405: "method_not_allowed"}


class ProblemError(Exception):
    """A request that is refused.

    Attributes:
        status: status of the response.
        code: stable name of the problem, for programs.
        message: what was found and expected, for people; no file name and no content of the request.
        headers: further headers of the response.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


def status_of(error: EdgeError) -> int:
    """Return the HTTP status for an error of the runtime; 503 if the machine failed, because the image may be sound."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 503)


def problem_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response that every refusal has."""
    content = json.dumps({"error": {"code": code, "message": message}})
    return Response(content, status, dict(headers or {}), "application/json")


async def of_problem(request: Request, error: Exception) -> Response:
    """Answer a :class:`ProblemError`."""
    assert isinstance(error, ProblemError)
    return problem_response(error.status, error.code, error.message, error.headers)


async def of_edge_error(request: Request, error: Exception) -> Response:
    """Answer an error of the runtime that is not about one image."""
    assert isinstance(error, EdgeError)
    return problem_response(status_of(error), error.code, error.message)


async def of_http(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method."""
    assert isinstance(error, HTTPException)
    code = _OF_HTTP.get(error.status_code, "http")
    message = f"found {request.method} {request.url.path[:80]}, expected a path and method of /openapi.json."
    return problem_response(error.status_code, code, message, error.headers)


async def of_fault(request: Request, error: Exception) -> Response:
    """Answer a fault of the service itself, without its text: it may quote the request."""
    message = f"the service failed ({type(error).__name__}). Its log names the request."
    return problem_response(500, "internal", message)
