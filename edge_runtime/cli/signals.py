"""Ctrl-C and SIGTERM ask the command to end after the image that it is at; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SLICE_S = 0.1
"""Seconds of sleep after which a signal is noticed."""
_STDERR = 2


class StopSignal:
    """Whether a signal came, and which; whether SIGHUP came since :meth:`take_hangup` was called."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._hangup = False

    def sleep(self, seconds: float, meanwhile: Callable[[], object] = bool) -> None:
        """Sleep, but not on when a signal comes; ``meanwhile`` is called again and again."""
        end = time.monotonic() + seconds
        while self.by is None and not self._hangup and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))
            meanwhile()

    def hang_up(self) -> None:
        """Note SIGHUP."""
        self._hangup = True

    def take_hangup(self) -> bool:
        """Tell whether SIGHUP came since the last call."""
        came, self._hangup = self._hangup, False
        return came


@contextmanager
def stops_on_signals() -> Iterator[StopSignal]:
    """Listen meanwhile; a signal that whoever started this process had ignored (nohup) stays ignored."""
    stop = StopSignal()
    wanted = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]

    def ask(number: int, frame: FrameType | None) -> None:
        stop.by = signal.Signals(number)
        signal.signal(number, before[number])

    before = {int(number): signal.getsignal(number) or signal.SIG_DFL for number in wanted}
    for number in wanted:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number in wanted:
            signal.signal(number, before[number])


@contextmanager
def follows_hangup(stop: StopSignal) -> Iterator[None]:
    """Note SIGHUP in ``stop`` meanwhile; one that comes because the terminal went away stops the command."""
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
