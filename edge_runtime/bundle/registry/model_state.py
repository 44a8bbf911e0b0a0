"""Whether a model name refers to another bundle or site policy than before, without opening their files."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.bundle.containers import MANIFEST
from edge_runtime.bundle.registry.pointers import POINTER, is_name, store_folder
from edge_runtime.bundle.registry.site_pointers import FOLDER as SITE_FOLDER
from edge_runtime.bundle.registry.site_pointers import POINTER as SITE_POINTER

State = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of last change of each file that determines the model; None for a missing file."""


def model_state(name: str, site_policies: tuple[Path, ...] = ()) -> State:
    """Return the state of the pointers in the store, of the path ``name``, of its manifest and of the site policy.

    Args:
        name: name or path of the model.
        site_policies: files of site policies that were given instead of the installed one.
    """
    store = store_folder()
    here = store is not None and is_name(name)
    pointers = (store / name / POINTER, store / name / SITE_FOLDER / SITE_POINTER) if here and store else ()
    return tuple(map(_state_of, (*pointers, Path(name), Path(name) / MANIFEST, *site_policies)))


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
