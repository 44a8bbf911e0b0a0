"""What is known about one request while it is answered; the log and the metrics read it. It holds no patient data."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

UNMATCHED = "unmatched"

_STARTED = secrets.token_hex(4)
_NUMBERS = itertools.count(1)


def _next_id() -> str:
    """Return an identifier of a request: random for each start of the service, then a count."""
    return f"{_STARTED}{next(_NUMBERS):08x}"


@dataclass
class Exchange:
    """One request.

    Attributes:
        request_id: unique; the response has it as ``X-Request-Id``.
        route: the template of the path, such as ``/v1/models/{name}``; never the path.
        model: name of a loaded model.
        code: code of the error.
        body_read: whether the whole body was read.
        status: HTTP status; 0 until the response starts.
    """

    request_id: str = field(default_factory=_next_id)
    route: str = UNMATCHED
    model: str | None = None
    code: str | None = None
    body_read: bool = False
    status: int = 0
    start: float = field(default_factory=perf_counter)

    @staticmethod
    def of(scope: Any) -> Exchange:
        """Return the exchange of an ASGI scope."""
        found: Exchange = scope["edge"]
        return found
