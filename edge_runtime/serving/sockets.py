"""Listening sockets: an address, a path of a Unix socket, or what systemd hands over."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_runtime.errors import UsageError

BACKLOG = 1024
_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START of systemd
_OWNER_AND_GROUP = 0o660


def inherited() -> list[socket.socket]:
    """Return the sockets of systemd's socket activation (sd_listen_fds(3)); empty without it."""
    count, ours = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "") == str(os.getpid())
    if not (ours and count.isdigit()):
        return []
    return [socket.socket(fileno=_FIRST_INHERITED + number) for number in range(int(count))]


def on_address(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        UsageError: the address is unknown or in use.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)  # asyncio sends without delay if the protocol says TCP
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _listening(made, place)
    except OSError as error:
        raise UsageError(
            f"{host}:{port}: cannot listen there ({error.strerror}). Choose another --host or --port."
        ) from None


def on_path(path: Path) -> socket.socket:
    """Return a socket that listens at a path, for this user and its group. A socket that nobody listens at is replaced.

    Raises:
        UsageError: the path is in use or cannot be created.
    """
    before = os.umask(0o777 & ~_OWNER_AND_GROUP)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
        return _listening(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot listen there ({error.strerror}). Choose another --uds.") from None
    finally:
        os.umask(before)


def _listening(made: socket.socket, place: Any) -> socket.socket:
    try:
        made.bind(place)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def remove(paths: list[Path]) -> None:
    """Remove the sockets at these paths."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
