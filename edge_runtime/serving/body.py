"""Bodies of requests: counted while they arrive, ended if they stall, and limited in sum over all connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from edge_runtime.serving.problems import BAD_REQUEST, MEDIA_TYPE, TIMEOUT, TOO_LARGE, ClientGone, Problem, busy

Result = TypeVar("Result")
Receive = Callable[[], Awaitable[Any]]

LEAST_BYTES = 16 * 1024
"""Bytes that must arrive in each period of the read timeout, unless the body ends."""
LINGER_S = 2.0
LINGER_BYTES = 4 * 1024 * 1024
"""An upload that is refused is read on for this long, so that its client reads the response and no reset."""


@dataclass(frozen=True)
class BodyLimits:
    """Limits of a body.

    Attributes:
        most_bytes: largest body.
        read_timeout_s: period in which :data:`LEAST_BYTES` must arrive.
        held_bytes: largest sum of all bodies in memory.
    """

    most_bytes: int
    read_timeout_s: float
    held_bytes: int


class Uploads:
    """The bodies in memory at this moment."""

    def __init__(self, limits: BodyLimits) -> None:
        self.limits, self.held_bytes = limits, 0

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Count what a request reads; it is free again at the end of the context."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.held_bytes -= lease.bytes


class Lease:
    """The bytes of one request."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads, self.bytes = uploads, 0

    def take(self, count: int) -> None:
        """Count further bytes.

        Raises:
            Problem: ``body_too_large``, or ``uploads_full`` if all bodies together are too large.
        """
        limits = self._uploads.limits
        if self.bytes + count > limits.most_bytes:
            raise too_large(limits.most_bytes)
        if self._uploads.held_bytes + count > limits.held_bytes:
            raise busy("uploads_full", "The images of other requests take all memory for uploads.", 1)
        self.bytes += count
        self._uploads.held_bytes += count


class _StallWatch:
    """Cancels the current task if too few bytes arrive in a period."""

    def __init__(self, period_s: float) -> None:
        self._loop, self._task, self._period_s = asyncio.get_running_loop(), asyncio.current_task(), period_s
        self._since, self.expired = 0, False
        self._timer = self._loop.call_later(period_s, self._check)

    def arrived(self, count: int) -> None:
        self._since += count

    def _check(self) -> None:
        if self._since >= LEAST_BYTES:
            self._since = 0
            self._timer = self._loop.call_later(self._period_s, self._check)
        elif self._task is not None:
            self.expired = True
            self._task.cancel()

    def stop(self) -> None:
        self._timer.cancel()

    def forgive(self) -> None:
        """Take the cancellation back."""
        _forgive(self._task)


def _forgive(task: asyncio.Task[Any] | None) -> None:
    """Take a cancellation back, from Python 3.11 on, where tasks count them."""
    uncancel = getattr(task, "uncancel", None)
    if uncancel is not None:
        uncancel()


async def read_body(headers: dict[bytes, bytes], receive: Receive, lease: Lease, limits: BodyLimits) -> bytes:
    """Return the whole body.

    Args:
        headers: headers of the request, names in lower case.
        receive: of ASGI.
        lease: counts the bytes.
        limits: the limits of each body.

    Raises:
        Problem: ``body_too_large``, ``read_timeout``, ``uploads_full`` or ``media_type``.
        ClientGone: the client closed the connection.
    """
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(MEDIA_TYPE, "content_encoding", "Found a compressed body, expected none. Send it as it is.")
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limits.most_bytes:
        raise too_large(limits.most_bytes)
    watch = _StallWatch(limits.read_timeout_s)
    parts: list[bytes] = []
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            lease.take(len(part))
            watch.arrived(len(part))
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)
    except asyncio.CancelledError:
        if not watch.expired:
            raise
        watch.forgive()
        seconds = f"{limits.read_timeout_s:g} s"
        raise Problem(
            TIMEOUT, "read_timeout", f"Found under {LEAST_BYTES} bytes in {seconds} of an unfinished body. Send faster."
        ) from None
    finally:
        watch.stop()


def has_body(headers: dict[bytes, bytes]) -> bool:
    """Return whether the request has a body."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


async def linger(receive: Receive) -> None:
    """Read on, and forget what arrives, until the body ends, the client closes, or the limits are reached."""

    async def discard() -> None:
        left = LINGER_BYTES
        while left > 0:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return
            left -= len(message.get("body", b""))

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(discard(), LINGER_S)


class Departure:
    """The moment when the client closes its connection; what is set is called then, once.

    The server gives one for each connection in the ASGI state: a task that waits for ``http.disconnect`` beside each
    request would cost more.
    """

    KEY = "departure"

    def __init__(self) -> None:
        self.call: Callable[[], object] | None = None
        self._happened = False

    def check(self) -> None:
        """Raise if the client is gone; for work in another thread.

        Raises:
            ClientGone: the client closed the connection.
        """
        if self._happened:
            raise ClientGone

    def happens(self) -> None:
        """Call what is set."""
        self._happened = True
        call, self.call = self.call, None
        if call is not None:
            call()


async def unless_gone(departure: Departure, work: Callable[[], Awaitable[Result]]) -> Result:
    """Return ``await work()``, which is cancelled when the client closes the connection.

    Raises:
        ClientGone: the client closed the connection.
    """
    task, left = asyncio.current_task(), False

    def leave() -> None:
        nonlocal left
        left = True
        if task is not None:
            task.cancel()

    departure.call = leave
    try:
        return await work()
    except asyncio.CancelledError:
        if not left:
            raise
        _forgive(task)
        raise ClientGone from None
    finally:
        departure.call = None


def too_large(most_bytes: int) -> Problem:
    """Return the problem of a body over the limit."""
    return Problem(
        TOO_LARGE, "body_too_large", f"Found a body of over {most_bytes} bytes, expected at most that. Crop the image."
    )


def malformed(message: str) -> Problem:
    """Return the problem of a body that is no multipart form."""
    return Problem(BAD_REQUEST, "multipart_invalid", f"{message} Send the image as the body, or as the part image.")
