"""What is told of a place that cannot be read. A library's own text is left out: it may hold an address or a name."""

from __future__ import annotations

import gzip
import tarfile
import zlib

from edge_runtime.archive.packages import require
from edge_runtime.archive.record import ArchiveRecord
from edge_runtime.errors import ArchiveError, EdgeError, ImageUnreadableError, MachineError
from edge_runtime.images.reader import load_error
from edge_runtime.platform.machine_faults import machine_error

DAMAGE = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error)
"""Exceptions of a tar file that is damaged or truncated."""
_FORBIDDEN = (401, 403)
_ACCESS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}
)
"""Exceptions of botocore for credentials that it does not find."""
_ASK = "Set the credentials of this address as its package of fsspec documents, and check the rights."


def source_error(error: Exception, place: str) -> EdgeError:
    """Return the error for a source that cannot be read while it is planned."""
    if isinstance(error, EdgeError):
        return error
    if is_denied(error):
        return ArchiveError(f"{place}: found no access, expected the right to read it. {_ASK}", code="archive_access")
    if fault := machine_error(error, place):
        return fault
    return ArchiveError(f"{place}: cannot be read ({reason_of(error)}). Check the address, the path and the network.")


def place_error(error: Exception, record: ArchiveRecord, *, remote: bool) -> EdgeError:
    """Return the error for a planned image whose bytes cannot be read: of the machine, unless the file is at fault.

    Denied access to a remote place is a fault of the machine: credentials that expire must not become errors of images.
    """
    if isinstance(error, EdgeError):
        return error
    if isinstance(error, (*DAMAGE, KeyError, require("pyarrow").ArrowInvalid)):
        return ImageUnreadableError(
            f"{record.image}: found a damaged file {record.place} ({reason_of(error)}), expected a whole one. "
            "Copy it again.",
            code="archive_place_damaged",
        )
    if remote and is_denied(error):
        return MachineError(
            f"{record.image}: found no access, expected the right to read it; the image may be valid. {_ASK}",
            code="archive_access",
        )
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return load_error(type(error)() if remote else error, record.image)
    return machine_error(error, record.image) or MachineError(
        f"{record.image}: could not be read ({reason_of(error)}); the image may be valid. "
        "Check the network, then try again."
    )


def changed(record: ArchiveRecord) -> EdgeError:
    """Return the error for an image whose file is not the one that was planned."""
    return ImageUnreadableError(
        f"{record.image}: found another file {record.place} than the planned one, expected the same. Plan anew.",
        code="archive_place_changed",
    )


def is_denied(error: Exception) -> bool:
    """Return whether credentials are missing or wrong, or have no right to read a place."""
    denied = isinstance(error, PermissionError) or type(error).__name__ in _ACCESS
    # the file system of HTTP says "not found" for every status, and keeps the status as the cause
    return denied or any(getattr(each, "status", None) in _FORBIDDEN for each in (error, error.__cause__))


def reason_of(error: Exception) -> str:
    """Return the kind of an error, in the system's own words if it is the system's."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
