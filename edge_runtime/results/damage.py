"""Damaged parts of a file are kept in ``PATH.damaged-N``; they are never deleted."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from edge_runtime.platform.atomic_files import sync_names
from edge_runtime.results.append_only_file import Durable

_PIECE = 1 << 20


def copy_aside(path: Path, file: Durable, start: int) -> Path:
    """Copy the bytes from ``start`` to the end into ``PATH.damaged-N``, flush it to disk, and return its path.

    Raises:
        OSError: the disk is full or gone. The incomplete copy is removed.
    """
    aside = _free(path)
    try:
        with aside.open("xb") as copy, file.reader() as source:
            source.seek(start)
            while piece := source.read(_PIECE):
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_names(path.parent)
    return aside


def move_aside(path: Path) -> Path:
    """Rename the file to ``PATH.damaged-N`` and return that path; raise OSError if the folder cannot be changed."""
    aside = _free(path)
    path.rename(aside)
    sync_names(path.parent)
    return aside


def _free(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))
