"""Notifications to systemd (sd_notify(3)): ready, watchdog, reloading, stopping and the status line."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

_SHARE = 3
"""Number of watchdog messages per WatchdogSec= period."""


class Service:
    """The notification socket of the service manager. Without one, all methods do nothing; send errors are ignored."""

    def __init__(self) -> None:
        """Read ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` from the environment."""
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        period = os.environ.get("WATCHDOG_USEC", "")
        ours = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._every_s = int(period) / 1e6 / _SHARE if period.isdigit() and ours else float("inf")
        self._next = 0.0
        self._socket: socket.socket | None = None
        if self._address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._address = self._address.replace("@", "\0", 1) if self._address[0] == "@" else self._address

    def tell(self, *lines: str) -> None:
        """Send ``NAME=value`` lines. A line end inside a value becomes a space."""
        if self._socket is not None:
            text = "\n".join(line.replace("\n", " ") for line in lines)
            with suppress(OSError):
                self._socket.sendto(text.encode("utf-8", "replace"), socket.MSG_DONTWAIT, self._address)

    def alive(self) -> None:
        """Send a watchdog message if one is due. The call is cheap enough for ten calls per second."""
        if time.monotonic() >= self._next and self._every_s < float("inf"):
            self.tell("WATCHDOG=1")
            self._next = time.monotonic() + self._every_s

    def reloading(self) -> None:
        """Report that the service is reloading after SIGHUP. ``READY=1`` ends the reload."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
