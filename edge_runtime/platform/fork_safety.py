"""Renew locks and interpreters in a child process after ``os.fork``.

In the child, only the thread that called fork exists. A lock held by another thread of the parent stays locked. An
inherited interpreter is neither used nor released, as both may wait for threads that do not exist. It stays in memory
shared with the parent, and a new one is opened from the model's bytes when it is first needed.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

opening = threading.RLock()
"""Lock held while an interpreter is opened. A fork waits for it, so that the libraries' global locks are free in the
child. It is re-entrant, as the thread that opens an interpreter may fork."""


class ForkAware(Protocol):
    """An object that owns locks or interpreters."""

    def renew(self) -> None:
        """Create new locks and drop interpreters; called in a child process before any other code."""


_renewed: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def renew_in_child(owner: ForkAware) -> None:
    """Register ``owner.renew`` to be called in every child process, as long as ``owner`` exists."""
    _renewed.add(owner)


class ForkSafeLock:
    """A lock that is free in a child process, unless the thread that forked held it.

    Attributes:
        held: the re-entrant lock, for ``with``.
    """

    def __init__(self) -> None:
        self.held = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        """Replace the lock, unless the thread that forked holds it."""
        if not self.held._is_owned():  # type: ignore[attr-defined]  # threading.Condition uses it too
            self.held = threading.RLock()


def keep(interpreter: object) -> None:
    """Keep an inherited interpreter until the process has ended, as its destructor would wait for missing threads."""
    import ctypes  # imported here: only child processes need it

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(interpreter))


def _in_child() -> None:
    opening.release()
    for owner in list(_renewed):
        owner.renew()


if hasattr(os, "register_at_fork"):  # POSIX
    os.register_at_fork(before=opening.acquire, after_in_parent=opening.release, after_in_child=_in_child)
