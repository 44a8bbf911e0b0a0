"""One HTTP connection: a limit on the time of a request's head, a limit on connections, and errors as JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_runtime.serving.body import Departure
from edge_runtime.serving.logs import tell
from edge_runtime.serving.problems import BAD_REQUEST, JSON, TIMEOUT, UNAVAILABLE, Problem, busy

LAST_S = 2.0
"""Time after a stop signal in which a request on an open connection is still answered: it may be on its way."""

_LINGER_S = 1.0


class _JoinedWrites:
    """A transport that sends what is written in one turn of the event loop at once: head and body in one call.

    Each call releases the interpreter lock, and has to wait for it again while a worker computes.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._parts = transport, loop, list[bytes]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep the bytes until the end of this turn."""
        if not data:
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def write_eof(self) -> None:
        """Send what is kept, then end this direction."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what is kept, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()


class Connection(H11Protocol):
    """A connection of uvicorn.

    Attributes:
        head_timeout_s: time in which the head of a request must arrive, from its first byte or the start.
        most: largest number of connections.
    """

    head_timeout_s = 30.0
    most = 512
    _timer: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        """Start the time of the first head; refuse the connection if there are too many."""
        self._departure = Departure()
        self.app_state = {**self.app_state, Departure.KEY: self._departure}
        super().connection_made(_JoinedWrites(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self.most:
            self._refuse(busy("connections_full", "Too many connections are open.", 1))
            return
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the time of the head ends with the head."""
        if self._refused:
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._timer is None:  # the first part of a further head
            self._start_timer()
        if self.flow.read_paused and self.conn.their_state is h11.DONE and not self.conn.trailing_data[0]:
            self.flow.resume_reading()  # after the last part of a large body: the client may leave

    def connection_lost(self, exc: Exception | None) -> None:
        """End the time."""
        self._stop_timer()
        super().connection_lost(exc)
        self._departure.happens()

    def on_response_complete(self) -> None:
        """Go on with the next request, unless the connection was closed."""
        super().on_response_complete()
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()

    def shutdown(self) -> None:
        """Close when the request in progress is answered; without one, after :data:`LAST_S`."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST_S, self._close_if_idle)
        else:
            super().shutdown()

    def _close_if_idle(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose client does not read its response."""
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP."""
        self._refuse(Problem(BAD_REQUEST, "http_invalid", "Found an invalid HTTP request. Send HTTP/1.1."))

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.head_timeout_s, self._late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        seconds = f"{self.head_timeout_s:g} s"
        self._refuse(Problem(TIMEOUT, "read_timeout", f"Found no whole request head within {seconds}. Send faster."))

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing() or self._refused:
            return
        self._refused = True
        self._stop_timer()
        tell("refused", code=problem.code, status=problem.status)
        body = problem.body()
        headers = {"Content-Type": JSON, "Content-Length": str(len(body)), "Connection": "close", **problem.headers}
        try:
            response = h11.Response(status_code=problem.status, headers=list(headers.items()))
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # a response has begun
            pass
        if problem.status == UNAVAILABLE or not self.transport.can_write_eof():
            self.transport.close()
        else:  # a client that still sends would get a reset before it reads the response
            self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.close)
