"""Read the store of installed bundles, and the current version of each.

``STORE/NAME/VERSION/`` is a bundle. ``STORE/NAME/current.json`` contains the current and the previous version; only
these are ever opened. :mod:`edge_runtime.bundle.registry.install` changes the store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from edge_runtime.errors import EdgeError, ManifestError, StoreError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import read_regular, reason
from edge_runtime.platform.users_folder import users_folder
from edge_runtime.serialisation.frozen import dataclass
from edge_runtime.serialisation.records import from_json

if TYPE_CHECKING:
    from pathlib import Path

Content = TypeVar("Content")
PLACE = "EDGE_MODELS"
"""Environment variable with the path of the store."""
POINTER = "current.json"
SCHEMA = 1
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # as in ModelSpec
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)  # as in ModelSpec
_LARGEST = 1 << 16  # bytes of current.json
_LONGEST = 100  # file systems end names at 255 bytes or less


@dataclass(frozen=True)
class Pointer:
    """The content of ``current.json``: the current version, and the previous one for ``rollback``."""

    schema: int
    current: str
    previous: str | None = None

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"found schema {self.schema}, expected {SCHEMA}.")
        for version in (self.current, self.previous):
            if version is not None and not is_version(version):
                raise ValueError(f"found version {version[:60]!r}, expected MAJOR.MINOR.PATCH.")

    def versions(self) -> tuple[str, ...]:
        """Return the versions that are kept, with the current one first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)


@dataclass(frozen=True)
class Installed:
    """One installed version and its folder."""

    name: str
    version: str
    folder: Path
    current: bool


def is_name(name: str) -> bool:
    """Return whether ``name`` is a valid bundle name: lower-case words joined by hyphens, at most 100 characters."""
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def is_version(name: str) -> bool:
    """Return whether ``name`` is a valid version and folder name: MAJOR.MINOR.PATCH, at most 100 characters."""
    return len(name) <= _LONGEST and _VERSION.fullmatch(name) is not None


def store_folder() -> Path | None:
    """Return :func:`store_path` as a path object."""
    from pathlib import Path  # imported here: a prediction needs none

    store = store_path()
    return None if store is None else Path(store)


def store_path() -> str | None:
    """Return the store: ``$EDGE_MODELS``, or the user's data folder for this program; None without a home folder."""
    if chosen := os.environ.get(PLACE):
        return chosen
    data = users_folder("XDG_DATA_HOME", ".local", "share")
    return None if data is None else os.path.join(data, "edge-predict", "models")


def read_pointer(store: str | Path, name: str) -> Pointer | None:
    """Return the pointer of bundle ``name`` in ``store``; None if it is not installed.

    Raises:
        StoreError: ``current.json`` cannot be read or is not valid.
    """
    again = f"remove the bundle and install it again: edge-bundle remove {name}"
    return read_pointer_file(os.path.join(store, name, POINTER), Pointer, StoreError, again)


def read_pointer_file(path: str, kind: type[Content], error: Callable[[str], EdgeError], again: str) -> Content | None:
    """Return the content of a pointer file; None if there is no file.

    Args:
        path: the file.
        kind: its record.
        error: makes the error, given its message.
        again: how to make the file anew.

    Raises:
        EdgeError: what ``error`` makes: the file cannot be read or is not valid.
        MachineError: the machine failed.
    """
    try:
        return from_json(kind, read_regular(path, most=_LARGEST), path)
    except OSError as found:
        if isinstance(found, FileNotFoundError | NotADirectoryError) and not os.path.islink(path):
            return None
        if fault := machine_error(found, path):
            raise fault from None
        remedy = f"Let this user read it, name another store in {PLACE}, or {again}"
        raise error(f"{path}: cannot be read ({reason(found)}). {remedy}") from None
    except ManifestError as found:
        raise error(f"{found.message} {again[0].upper()}{again[1:]}") from None


def current_folder(name: str) -> str | None:
    """Return the folder of the current version of a bundle; None if no bundle of that name is installed.

    Raises:
        StoreError: the store cannot be read, or the folder is missing.
    """
    store = store_path()
    pointer = read_pointer(store, name) if store is not None and is_name(name) else None
    if store is None or pointer is None:
        return None
    folder = os.path.join(store, name, pointer.current)
    if not os.path.isdir(folder):
        raise StoreError(
            f"{os.path.join(store, name, POINTER)}: version {pointer.current} is current, but its folder is missing. "
            f"Install it again, or return to the previous one: edge-bundle rollback {name}"
        )
    return folder


def installed() -> tuple[Installed, ...]:
    """Return all installed versions, sorted by name, with the current one first.

    Raises:
        StoreError: the store cannot be read.
    """
    store = store_folder()
    try:
        names = sorted(entry.name for entry in store.iterdir()) if store is not None and store.is_dir() else []
    except OSError as error:
        raise StoreError(f"{store}: cannot be read ({error.strerror}). Let this user read it.") from None
    found = []
    for name in filter(is_name, names):
        pointer = read_pointer(store, name) if store is not None else None
        if store is not None and pointer is not None:
            rows = (Installed(name, v, store / name / v, v == pointer.current) for v in pointer.versions())
            found += list(rows)
    return tuple(found)
