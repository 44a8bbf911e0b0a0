"""What a child process must have anew after ``os.fork``: locks and interpreters.

Only the thread that forks lives on in the child. A lock that another thread of the parent held stays locked there. An
inherited interpreter is neither used nor released there: either may wait for threads that do not exist. It is kept as
it is, in memory that the child shares with its parent, and another one is opened from the model's bytes when it is
first needed.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

opening = threading.RLock()
"""Held while an interpreter is opened. A fork waits for it: the libraries' own locks, which all interpreters share, are
then free in the child. Re-entrant, for the thread that opens one may fork."""


class ForkAware(Protocol):
    """Something with locks or interpreters of its own."""

    def renew(self) -> None:
        """Take new locks and let go of interpreters; called in a child before anything else runs there."""


_renewed: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def renew_in_child(owner: ForkAware) -> None:
    """Have ``owner.renew`` called in every child process, as long as ``owner`` lives."""
    _renewed.add(owner)


class ForkSafeLock:
    """A lock that is free in a child process, unless the thread that forked held it.

    Attributes:
        held: the lock itself, for ``with``: a re-entrant one, which knows who holds it.
    """

    def __init__(self) -> None:
        self.held = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """Take a new lock in place of one that a thread holds which is not in the child."""
        if not self.held._is_owned():  # type: ignore[attr-defined]  # as threading.Condition asks it
            self.held = threading.RLock()


def keep(interpreter: object) -> None:
    """Keep an inherited interpreter until the process ends, the end included: its destructor would wait for threads."""
    import ctypes  # here: children alone need it

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(interpreter))


def _in_child() -> None:
    opening.release()
    for owner in list(_renewed):
        owner.renew()


if hasattr(os, "register_at_fork"):  # POSIX
    os.register_at_fork(before=opening.acquire, after_in_parent=opening.release, after_in_child=_in_child)
