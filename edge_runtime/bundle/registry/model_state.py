"""Whether a model name refers to another bundle than before: the files that determine it, without opening them."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.bundle.containers import MANIFEST
from edge_runtime.bundle.registry.pointers import POINTER, is_name, store_folder

State = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of last change of each file that determines the model; None for a missing file."""


def model_state(name: str) -> State:
    """Return the state of the pointer in the store, of the path ``name`` and of its manifest."""
    store = store_folder()
    pointer = (store / name / POINTER,) if store is not None and is_name(name) else ()
    return tuple(map(_state_of, (*pointer, Path(name), Path(name) / MANIFEST)))


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
