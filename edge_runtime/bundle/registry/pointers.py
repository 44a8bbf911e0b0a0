"""Bundles that were installed on this device, and which version of each is current.

``STORE/NAME/VERSION/`` is a bundle; ``STORE/NAME/current.json`` names the current version and the one before it. Only
what that file names is ever opened. :mod:`edge_runtime.bundle.registry.install` changes the store; here it is read.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import ManifestError, StoreError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import read_regular, reason
from edge_runtime.serialisation.records import from_json

PLACE = "EDGE_MODELS"
"""The environment variable that names the store's folder."""
POINTER = "current.json"
SCHEMA = 1
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # as in ModelSpec
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)  # as in ModelSpec
_LARGEST = 1 << 16  # bytes of current.json
_LONGEST = 100  # file systems end names at 255 bytes or less


@dataclass(frozen=True)
class Pointer:
    """What ``current.json`` holds: the version in use, and the one that ``rollback`` returns to."""

    schema: int
    current: str
    previous: str | None = None

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"found schema {self.schema}, this release understands {SCHEMA}.")
        for version in (self.current, self.previous):
            if version is not None and not is_version(version):
                raise ValueError(f"found version {version[:60]!r}, expected MAJOR.MINOR.PATCH.")

    def versions(self) -> tuple[str, ...]:
        """Return the versions that are kept, the current one first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)


@dataclass(frozen=True)
class Installed:
    """One installed version and its folder."""

    name: str
    version: str
    folder: Path
    current: bool


def is_name(name: str) -> bool:
    """Tell whether ``name`` may be an installed bundle's: lower-case words joined by hyphens, at most 100 letters."""
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def is_version(name: str) -> bool:
    """Tell whether ``name`` is MAJOR.MINOR.PATCH, and so may be a version's folder."""
    return len(name) <= _LONGEST and _VERSION.fullmatch(name) is not None


def store_folder() -> Path | None:
    """Return ``$EDGE_MODELS``, else the user's data folder for this program; None for a user without a home.

    A relative ``$XDG_DATA_HOME`` is ignored (XDG Base Directory Specification 0.8).
    """
    if chosen := os.environ.get(PLACE):
        return Path(chosen)
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    try:
        base = data if data.is_absolute() else Path.home() / ".local" / "share"
    except RuntimeError:
        return None
    return base / "edge-predict" / "models"


def read_pointer(store: Path, name: str) -> Pointer | None:
    """Return what ``store`` says of bundle ``name``, None if it is not installed.

    Raises:
        StoreError: it says something that cannot be read or understood.
    """
    path = store / name / POINTER
    try:
        data = read_regular(path, most=_LARGEST)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not path.is_symlink():
            return None
        if fault := machine_error(error, str(path)):
            raise fault from None
        raise StoreError(
            f"{path}: cannot be read ({reason(error)}). Let this user read it, name another store in {PLACE}, or "
            f"remove the bundle and install it again: edge-bundle remove {name}"
        ) from None
    try:
        return from_json(Pointer, data, str(path))
    except ManifestError as error:
        raise StoreError(f"{error.message} Remove the bundle and install it again: edge-bundle remove {name}") from None


def current_folder(name: str) -> Path | None:
    """Return the folder of the current version of an installed bundle, None if no bundle of that name is installed.

    Raises:
        StoreError: the store cannot be read, or the folder is gone.
    """
    store = store_folder()
    pointer = read_pointer(store, name) if store is not None and is_name(name) else None
    if store is None or pointer is None:
        return None
    folder = store / name / pointer.current
    if not folder.is_dir():
        raise StoreError(
            f"{store / name / POINTER}: version {pointer.current} is current, but its folder is gone. "
            f"Install it again, or return to the previous one: edge-bundle rollback {name}"
        )
    return folder


def installed() -> tuple[Installed, ...]:
    """Return every installed version, by name, the current one first.

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
