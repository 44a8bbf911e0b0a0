"""The bytes that a spool may hold, and the disk space that it leaves free."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class SpoolFullError(Exception):
    """The spool has reached its limit, or the disk is full."""


@dataclass(frozen=True)
class SpoolLimits:
    """Limits of a spool.

    Attributes:
        most_bytes: bytes in all its folders.
        least_free: bytes that have to stay free on the disk.
    """

    most_bytes: int = 20 << 30
    least_free: int = 512 << 20


class Room:
    """Counts the bytes of a spool. All methods may be called from several threads.

    Attributes:
        held: bytes that the spool holds.
    """

    def __init__(self, folders: Iterable[Path], limits: SpoolLimits) -> None:
        """Count what the folders, which exist, hold."""
        folders = tuple(folders)
        self._limits, self._lock, self._place = limits, threading.Lock(), folders[0]
        self.held = sum(path.stat().st_size for each in folders for path in each.rglob("*") if path.is_file())

    def reserve(self, size: int) -> None:
        """Take bytes for a received instance.

        Raises:
            SpoolFullError: there is no room.
        """
        with self._lock:
            free = shutil.disk_usage(self._place).free
            if self.held + size > self._limits.most_bytes or free - size < self._limits.least_free:
                raise SpoolFullError
            self.held += size

    def take(self, size: int) -> None:
        """Count bytes of results, which must be written whether there is room or not."""
        with self._lock:
            self.held += size

    def release(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self.held -= size
