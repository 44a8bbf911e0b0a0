"""Errors of the service as JSON with an HTTP status (docs/reference/http.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge_runtime.errors import BackendError, EdgeError, SaliencyError, UsageError

JSON = "application/json"

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, TIMEOUT = 400, 401, 403, 404, 405, 408
TOO_LARGE, MEDIA_TYPE, UNPROCESSABLE, HEADERS_TOO_LARGE = 413, 415, 422, 431
INTERNAL, UNAVAILABLE = 500, 503


class Problem(Exception):  # noqa: N818
    """A request that gets an error instead of a result.

    Attributes:
        status: HTTP status.
        code: stable code for programs.
        message: text for people; it may change.
        headers: further headers of the response.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})

    def body(self) -> bytes:
        """Return the JSON of the error. ``kind`` says whether the request or the service has to change."""
        kind = "request" if self.status < INTERNAL else "server"
        return line({"error": {"kind": kind, "code": self.code, "message": self.message}})


class ClientGone(Exception):  # noqa: N818
    """The client closed the connection before it got its response."""


def line(value: Any) -> bytes:
    """Return a value as one line of ASCII JSON."""
    return (json.dumps(value, allow_nan=False) + "\n").encode("ascii")


def busy(code: str, message: str, seconds: int) -> Problem:
    """Return the problem of a service that has no place for the request now."""
    return Problem(UNAVAILABLE, code, f"{message} Try again in {seconds} s.", {"Retry-After": str(seconds)})


def invalid(parameter: str, found: str, expected: str) -> Problem:
    """Return the problem of a parameter with an invalid value."""
    return Problem(
        BAD_REQUEST, "parameter_invalid", f"{parameter}: found {found[:60]!r}, expected {expected}. Correct it."
    )


def problem_of(error: EdgeError) -> Problem:
    """Return the problem for an error of the package that concerns the request or the model, not the image."""
    if isinstance(error, UsageError | SaliencyError):
        return Problem(BAD_REQUEST, error.code, error.message)
    if isinstance(error, BackendError):
        return Problem(INTERNAL, error.code, error.message)
    # messages about bundles name paths of this machine
    return Problem(INTERNAL, error.code, "The model's files cannot be used. See the service's log, then install again.")
