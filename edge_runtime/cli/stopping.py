"""Ctrl-C and SIGTERM ask the command to end after the picture that it is at; a second one ends it at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SLICE_S = 0.1
"""Seconds of sleep after which a signal is noticed."""


class Stop:
    """Whether a signal came, and which."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    def sleep(self, seconds: float) -> None:
        """Sleep, but not on when a signal comes."""
        end = time.monotonic() + seconds
        while self.by is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))


@contextmanager
def stops_on_signals() -> Iterator[Stop]:
    """Listen meanwhile; a signal that whoever started this process had ignored (nohup) stays ignored."""
    stop = Stop()
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
