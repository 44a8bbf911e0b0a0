"""Paths and URLs: what is remote, how a file is opened, and whether it is still the planned one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from edge_runtime.archive.packages import require
from edge_runtime.archive.place_errors import source_error
from edge_runtime.errors import ArchiveError
from edge_runtime.results.lines import FileStamp

_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime", "modified", "created")
_SIGNED = frozenset(
    {
        *("x-amz-signature", "x-amz-security-token", "x-goog-signature", "awsaccesskeyid", "signature", "sig"),
        *("token", "access_token", "auth", "password", "key", "api_key", "apikey"),
    }
)
"""Names in the query of a URL that give access to whoever has the URL."""


def is_remote(place: str) -> bool:
    """Return whether fsspec opens this place: it is a URL."""
    return "://" in place


def absolute(place: str) -> str:
    """Return a URL unchanged, and a path as an absolute one: workers have other working directories."""
    return place if is_remote(place) else str(Path(place).absolute())


def remote(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        ArchiveError: the package for this kind of URL is missing, its settings are wrong, or the URL holds credentials
            (``archive_credentials``), which would be stored with every result.
    """
    if holds_credentials(url):
        where = url.partition("://")[0]
        raise ArchiveError(
            f"found a URL of {where} with a password or a signature, expected one without. Set the credentials as the "
            "package of fsspec for this address documents, such as by environment variables.",
            code="archive_credentials",
        )
    try:
        system, path = require("fsspec.core").url_to_fs(url)
    except ImportError as error:
        raise ArchiveError(f"{url}: {error}. Install the package of fsspec for this address.") from None
    except ValueError:
        scheme = url.partition("://")[0]
        raise ArchiveError(f"{url}: fsspec knows no address that begins with {scheme}. Check the address.") from None
    return system, path


def holds_credentials(url: str) -> bool:
    """Return whether a URL has a user name with a password, or a query that signs it."""
    parts = urlsplit(url)
    names = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    return ("@" in parts.netloc and ":" in parts.netloc.rpartition("@")[0]) or bool(names & _SIGNED)


def open_place(place: str) -> BinaryIO:
    """Open a file, local or remote, for reading.

    Raises:
        ArchiveError: ``archive_source`` or ``archive_access``: it cannot be opened.
        MachineError: memory, descriptors or I/O failed.
    """
    try:
        return opened(place)
    except Exception as error:  # each file system of fsspec has errors of its own
        raise source_error(error, place) from None


def opened(place: str) -> BinaryIO:
    """Open a file, local or remote; raise the errors of its file system."""
    if not is_remote(place):
        return open(place, "rb")
    system, path = remote(place)
    return cast("BinaryIO", system.open(path, "rb"))


def stamp_of(info: Mapping[str, Any]) -> str:
    """Return size and version of a remote file from what its file system tells; empty if it tells no version.

    The version is the ETag, or else the time of the last change in whole seconds: file systems round it as they like.
    """
    version = next((info[key] for key in _VERSIONS if info.get(key)), "")
    if isinstance(version, datetime):
        version = version.timestamp()
    text = str(int(version)) if isinstance(version, float) else str(version).removeprefix("W/").strip('"')
    return f"{info.get('size')} {text}" if text else ""


def planned_stamp(place: str) -> str:
    """Return size and version of a file that is planned. Raises as :func:`open_place`."""
    try:
        return stamp_now(place)
    except Exception as error:  # each file system of fsspec has errors of its own
        raise source_error(error, place) from None


def stamp_now(place: str) -> str:
    """Return size and version of a file, local or remote; raise the errors of its file system."""
    if not is_remote(place):
        stamp = FileStamp.of(place)
        return f"{stamp.bytes} {stamp.modified_ns}"
    system, path = remote(place)
    system.invalidate_cache()
    return stamp_of(system.info(path))


def is_planned(place: str, stamp: str, data: bytes) -> bool:
    """Return whether bytes that were just read are those that were planned.

    An ETag is the MD5 of the bytes in most stores, so that most files need no second request.
    """
    if not stamp or stamp == f"{len(data)} {hashlib.md5(data, usedforsecurity=False).hexdigest()}":
        return True
    return stamp_now(place) == stamp
