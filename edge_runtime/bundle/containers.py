"""Containers of a bundle's files: a folder, or the same folder zipped. Both return whole files by plain name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Protocol, TypeAlias

from edge_runtime.bundle.limits import LARGEST_FILE, LARGEST_RECORD, MOST_NAMES
from edge_runtime.bundle.litter import is_litter
from edge_runtime.errors import ManifestError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import read_regular
from edge_runtime.serialisation.frozen import dataclass

MANIFEST = "bundle.json"
SIGNATURE = "bundle.sig"
Folder: TypeAlias = "str | os.PathLike[str]"
_PLAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")


class Reader(Protocol):
    """Reads whole files by name; raises OSError if there is no regular file of that name and size."""

    def __call__(self, name: str, size: int | None = None, /) -> bytes:
        """Return the bytes of a file of ``size`` bytes, or of at most :data:`LARGEST_RECORD` if ``size`` is None."""


@dataclass(frozen=True)
class Container:
    """The files of one folder or zip.

    Attributes:
        where: path of the folder or zip, for error messages.
        names: POSIX paths of all files and links in it, relative to it, without folders and litter.
        read: returns the bytes of a file.
    """

    where: str
    names: frozenset[str]
    read: Reader


def is_plain(name: str) -> bool:
    """Return whether ``name`` is a valid file name on all systems: 1..100 ASCII letters, digits and ``._-``."""
    return _PLAIN.fullmatch(name) is not None


def most_bytes(size: int | None) -> int:
    """Return the largest size of a file in bytes; a file without a size in the manifest (None) is a record."""
    return LARGEST_RECORD if size is None else LARGEST_FILE


def read_inside(folder: Folder, name: str, size: int | None = None) -> bytes:
    """Return the bytes of a file in ``folder``. It may be a link, if the target is inside ``folder``.

    Args:
        folder: the bundle's folder.
        name: the file's name in it.
        size: required size in bytes; None for at most :data:`LARGEST_RECORD`.

    Raises:
        OSError: it is missing, not a regular file, of another size, or outside ``folder``.
    """
    path = os.path.join(folder, name)
    if os.path.islink(path):
        path, inside = os.path.realpath(path, strict=True), os.path.realpath(folder, strict=True)
        if os.path.commonpath((path, inside)) != inside:
            raise OSError(f"a link to {path}, outside the bundle")
    return read_regular(path, most=most_bytes(size), size=size, follow=False)


def in_folder(folder: Folder) -> Container:
    """Return the container of a folder and its subfolders; links to folders are not followed.

    Raises:
        OSError: it cannot be listed.
        ManifestError: it contains more than :data:`MOST_NAMES` names.
    """
    return Container(str(folder), frozenset(_names(folder)), lambda name, size=None: read_inside(folder, name, size))


def _names(folder: Folder) -> Iterator[str]:
    """Yield paths below ``folder``; a subfolder that cannot be listed is yielded itself, in place of its files."""
    waiting: list[tuple[str, ...]] = [()]
    left = MOST_NAMES
    while waiting:
        parts = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, *parts)) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        raise ManifestError(
                            f"{folder}: found more than {MOST_NAMES} files, expected a bundle. Name its own folder."
                        )
                    below = (*parts, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(below)
                    elif not (is_litter(below) and entry.is_file(follow_symlinks=False)):
                        yield "/".join(below)
        except OSError as error:
            if not parts or machine_error(error, str(folder)):
                raise
            yield "/".join(parts)
