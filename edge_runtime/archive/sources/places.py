"""Paths and URLs: what is remote, and how a file is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, cast

from edge_runtime.archive.packages import require
from edge_runtime.errors import ArchiveError, EdgeError
from edge_runtime.platform.machine_faults import machine_error


def is_remote(place: str) -> bool:
    """Return whether fsspec opens this place: it is a URL."""
    return "://" in place


def absolute(place: str) -> str:
    """Return a URL unchanged, and a path as an absolute one: workers have other working directories."""
    return place if is_remote(place) else str(Path(place).absolute())


def remote(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        ArchiveError: the package for this kind of URL is missing, or its settings are wrong.
    """
    try:
        system, path = require("fsspec.core").url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ArchiveError(f"{url}: {error}. Install the package of fsspec for this address.") from None
    return system, path


def open_place(place: str) -> BinaryIO:
    """Open a file, local or remote, for reading.

    Raises:
        ArchiveError: ``archive_source``: it cannot be opened.
        MachineError: memory, descriptors or I/O failed.
    """
    try:
        return opened(place)
    except EdgeError:
        raise
    except Exception as error:  # each file system of fsspec has errors of its own
        if fault := machine_error(error, place):
            raise fault from None
        raise ArchiveError(f"{place}: cannot be opened ({error}). Check the path and the rights.") from None


def opened(place: str) -> BinaryIO:
    """Open a file, local or remote; raise the errors of its file system."""
    if not is_remote(place):
        return open(place, "rb")
    system, path = remote(place)
    return cast("BinaryIO", system.open(path, "rb"))
