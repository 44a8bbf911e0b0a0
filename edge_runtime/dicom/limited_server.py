"""Limits that pynetdicom's server lacks: for pauses, lengths of PDUs and connections without an association.

The limits are classes to be mixed with pynetdicom's, which is imported when a server is made.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pynetdicom.association import Association

ESTABLISH_S = 5
"""Longest time until a connection has its association, in seconds."""

LARGEST_PDU = 1 << 20
"""Largest PDU of a peer that ignores the length that was negotiated, in bytes."""

_MOST_OPENING = 32  # connections before their association


def limited_server(
    entity: Any, address: tuple[str, int], idle_s: float, context: Any, handlers: list[Any]
) -> LimitedServer:
    """Return pynetdicom's server with the limits, bound to an address.

    Args:
        entity: pynetdicom's application entity.
        address: host and port.
        idle_s: longest pause of a peer, in seconds.
        context: of TLS; None for plain connections.
        handlers: pynetdicom's events and what handles them.

    Raises:
        OSError, OverflowError: the address cannot be used.
    """
    from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

    class Handler(LimitedHandler, RequestHandler):  # type: ignore[misc]
        """pynetdicom's handler with the limits."""

    class Server(LimitedServer, ThreadedAssociationServer):  # type: ignore[misc]
        """pynetdicom's server with the limits."""

        def __init__(self) -> None:
            self.set_limits(idle_s)
            contexts = entity.supported_contexts
            super().__init__(entity, address, entity.ae_title, contexts, context, handlers, Handler)

    server: LimitedServer = Server()
    return server


class LimitedHandler:
    """Limits what an association reads."""

    server: LimitedServer
    request: Any

    def _create_association(self) -> Association:
        association = super()._create_association()  # type: ignore[misc]
        socket: Any = association.dul.socket
        receive = socket.recv

        def limited(count: int) -> bytearray:
            if count > LARGEST_PDU:
                raise OSError("the peer sends a PDU beyond the limit")  # pynetdicom closes the connection
            found: bytearray = receive(count)
            return found

        socket.recv = limited
        self.server.connections.append((association, self.request, time.monotonic()))
        return association


class LimitedServer:
    """Leaves the TLS handshake to a thread of the connection: a peer that stalls in it holds up no other.

    Attributes:
        server_address: host and port.
    """

    server_address: Any
    socket: Any
    ssl_context: Any
    shutdown_request: Any
    finish_request: Any
    serve_forever: Any
    shutdown: Any

    def set_limits(self, idle_s: float) -> None:
        """Set the longest pause of a peer, in seconds, before the server is bound."""
        self._idle_s, self._opening = idle_s, threading.BoundedSemaphore(_MOST_OPENING)
        self.connections: list[tuple[Association, Any, float]] = []

    def get_request(self) -> tuple[Any, Any]:
        client, address = self.socket.accept()
        client.settimeout(ESTABLISH_S)
        return client, address

    def service_actions(self) -> None:
        """Close connections that pynetdicom leaves open: of ended associations, and of peers that begin none."""
        super().service_actions()  # type: ignore[misc]
        late = time.monotonic() - 2 * ESTABLISH_S
        for connection in tuple(self.connections):
            association, request, since = connection
            ended = association.ident is not None and not association.is_alive()
            if ended or (since < late and not association.accepted_contexts):
                self.connections.remove(connection)
                self.shutdown_request(request)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._opening.acquire(blocking=False):
            self.shutdown_request(request)
            return
        threading.Thread(target=self._open, args=(request, client_address), daemon=True).start()

    def _open(self, request: Any, client_address: Any) -> None:
        try:
            if self.ssl_context is not None:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            request.settimeout(self._idle_s)
            self.finish_request(request, client_address)  # starts the association's own thread
        except (OSError, RuntimeError):  # the handshake failed, or there are no more threads
            self.shutdown_request(request)
        finally:
            self._opening.release()
