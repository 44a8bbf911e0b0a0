"""Read the body of a request: its size is counted, and its pace is limited, while it arrives."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from edge_runtime.serving.problems import CLOSE, ProblemError

LEAST_BYTES_S = 10_000
"""Least pace of a body, after the first ``pause_s`` seconds: a client that sends single bytes holds no connection."""


@dataclass(frozen=True)
class BodyLimits:
    """Limits of one body.

    Attributes:
        most_bytes: largest size.
        pause_s: longest pause between two parts, in seconds.
    """

    most_bytes: int
    pause_s: float


async def read_body(request: Request, limits: BodyLimits) -> bytes:
    """Return the body.

    Raises:
        ProblemError: it is larger than allowed (413), empty (400), or arrives too slowly (408).
        ClientDisconnect: the client is gone.
    """
    stated = request.headers.get("content-length")
    if stated is not None and stated.isdigit() and int(stated) > limits.most_bytes:
        raise _too_large(limits)
    parts: list[bytes] = []
    size, began, more = 0, time.monotonic(), True
    while more:
        left = began + limits.pause_s + size / LEAST_BYTES_S - time.monotonic()
        try:
            message = await asyncio.wait_for(request.receive(), max(0.0, min(limits.pause_s, left)))
        except asyncio.TimeoutError:
            raise ProblemError(
                408,
                "request_timeout",
                f"found a body that stopped after {size} bytes, expected its next part within {limits.pause_s:g} s "
                f"and {LEAST_BYTES_S} bytes per second. Send it again.",
                CLOSE,
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > limits.most_bytes:
            raise _too_large(limits)
    if not size:
        raise ProblemError(400, "body_empty", "found an empty body, expected the bytes of an image.")
    return b"".join(parts)


def _too_large(limits: BodyLimits) -> ProblemError:
    message = f"found a body of more than {limits.most_bytes} bytes, expected at most that. Send a smaller image."
    return ProblemError(413, "body_too_large", message, CLOSE)
