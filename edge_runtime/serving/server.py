"""Run the application on a TCP port or a Unix socket, with limits for the heads of requests; end without losing any."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_runtime.errors import UsageError
from edge_runtime.serving.access import LOOPBACK
from edge_runtime.serving.log import log

GRACE_S = 30
"""Seconds in which accepted requests are answered after a signal to stop."""

KEEP_ALIVE_S = 15
_BACKLOG = 1024
_FIRST_PASSED_DESCRIPTOR = 3  # sd_listen_fds(3)


@dataclass(frozen=True)
class Listening:
    """Where the service listens.

    Attributes:
        host, port: TCP address.
        uds: path of a Unix socket instead; None for TCP.
        pause_s: longest time for the head of a request, in seconds.
        certificate, key: files for TLS; None for plain HTTP.
        client_ca: file with the authority that signs the certificates of clients; None to ask for none.
    """

    host: str
    port: int
    uds: Path | None
    pause_s: float
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    def check(self, token: str | None) -> None:
        """Refuse an address that others reach without a token or certificates of clients.

        Raises:
            UsageError: see above, or a file for TLS is missing.
        """
        if (self.certificate is None) != (self.key is None):
            raise UsageError("found one of --tls-cert and --tls-key, expected both or none.")
        if self.client_ca is not None and self.certificate is None:
            raise UsageError("found --tls-client-ca without --tls-cert, expected both. Add --tls-cert and --tls-key.")
        if self.uds is None and self.host not in LOOPBACK and token is None and self.client_ca is None:
            raise UsageError(
                f"found --host {self.host}, which other machines reach, expected --token-file or --tls-client-ca with "
                "it. Give one of them, or listen on 127.0.0.1."
            )


def serve(app: Starlette, where: Listening) -> None:
    """Serve until SIGTERM or SIGINT; then answer what was accepted.

    Raises:
        UsageError: the address or the socket cannot be used, or a file for TLS cannot be read.
    """
    settings: dict[str, Any] = {"host": where.host, "port": where.port}
    if _passed_descriptors():
        settings = {"fd": _FIRST_PASSED_DESCRIPTOR}
    elif where.uds is not None:
        _free_socket(where.uds)
        settings = {"uds": str(where.uds)}
    try:
        config = uvicorn.Config(
            app,
            **settings,
            **_tls(where),
            http=_timed(where.pause_s),
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            h11_max_incomplete_event_size=16_384,
        )
        server = _Server(config)
        server.run()
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the service cannot start: {error.strerror or error}. Correct the address or the file."
        ) from None
    if not server.started:
        raise UsageError(
            f"the service cannot listen on {where.uds or f'{where.host}:{where.port}'}. Free it or choose another."
        )


class _Server(uvicorn.Server):
    """Says in the log where it listens, and when it stops."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            port = next((s.getsockname()[1] for server in self.servers for s in server.sockets if _is_tcp(s)), None)
            log("listening", port=port)

    async def shutdown(self, sockets: Any = None) -> None:
        log("stopping")
        await super().shutdown(sockets)


def _is_tcp(socket: Any) -> bool:
    return isinstance(socket.getsockname(), tuple)


def _passed_descriptors() -> bool:
    """Return whether systemd passed a listening socket to this process."""
    return os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1"


def _free_socket(path: Path) -> None:
    """Remove the socket of a service that is gone.

    Raises:
        UsageError: something else is at the path.
    """
    if not path.exists():
        return
    if not path.is_socket():
        raise UsageError(f"{path}: found a file, expected a free path for a socket. Correct --uds.")
    path.unlink()


def _tls(where: Listening) -> dict[str, Any]:
    if where.certificate is None:
        return {}
    found = {"ssl_certfile": str(where.certificate), "ssl_keyfile": str(where.key)}
    if where.client_ca is None:
        return found
    return {**found, "ssl_ca_certs": str(where.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}


def _timed(pause_s: float) -> type[H11Protocol]:
    """Return uvicorn's protocol, with a limit for the time in which the head of a request arrives: uvicorn has none."""

    class TimedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(pause_s, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            waiting = self.conn.their_state is h11.IDLE
            if not waiting:
                self._stop()
            elif self._timer is None:  # the first part of a further head
                self._timer = self.loop.call_later(pause_s, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.write(
                    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%s" % (len(_LATE), _LATE)
                )
                self.transport.close()

    return TimedProtocol


_LATE = b'{"error": {"code": "request_timeout", "message": "found no complete head of a request in time."}}'
