"""Signal handling: Ctrl-C or SIGTERM ends the command after the current image, a second signal at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SLICE_S = 0.1
"""Longest time in seconds before a signal interrupts :meth:`StopSignal.sleep`."""
_STDERR = 2


class StopSignal:
    """The received stop signal, if any, and whether SIGHUP was received since the last :meth:`take_hangup`."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._hangup = False

    def sleep(self, seconds: float, meanwhile: Callable[[], object] = bool) -> None:
        """Sleep until the time is over or a signal arrives. ``meanwhile`` is called about ten times per second."""
        end = time.monotonic() + seconds
        while self.by is None and not self._hangup and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))
            meanwhile()

    def hang_up(self) -> None:
        """Record that SIGHUP was received."""
        self._hangup = True

    def take_hangup(self) -> bool:
        """Return whether SIGHUP was received since the last call."""
        received, self._hangup = self._hangup, False
        return received


@contextmanager
def stops_on_signals() -> Iterator[StopSignal]:
    """Handle SIGINT and SIGTERM inside the context. A signal that was ignored before (nohup) stays ignored."""
    stop = StopSignal()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]

    def request_stop(number: int, frame: FrameType | None) -> None:
        stop.by = signal.Signals(number)
        signal.signal(number, before[number])

    before = {int(number): signal.getsignal(number) or signal.SIG_DFL for number in numbers}
    for number in numbers:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        for number in numbers:
            signal.signal(number, before[number])


@contextmanager
def follows_hangup(stop: StopSignal) -> Iterator[None]:
    """Record SIGHUP in ``stop`` inside the context. If the terminal was closed, SIGHUP stops the command."""
    terminal = os.isatty(_STDERR)

    def follow(number: int, frame: FrameType | None) -> None:
        if terminal and not os.isatty(_STDERR):
            stop.by = signal.SIGHUP
        else:
            stop.hang_up()

    before = signal.getsignal(signal.SIGHUP) or signal.SIG_DFL
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, follow)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
