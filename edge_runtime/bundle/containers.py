"""Where the files of a bundle lie: a folder, or the same folder zipped. Both hand out whole files by plain name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_runtime.bundle.limits import LARGEST_FILE, LARGEST_RECORD, MOST_NAMES
from edge_runtime.bundle.litter import is_litter
from edge_runtime.errors import ManifestError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import read_regular

MANIFEST = "bundle.json"
SIGNATURE = "bundle.sig"
_PLAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")


class Reader(Protocol):
    """Returns whole files by name; raises OSError where no regular file of that name and size can be had."""

    def __call__(self, name: str, size: int | None = None, /) -> bytes:
        """Return a file that has ``size`` bytes; None: at most :data:`LARGEST_RECORD`."""


@dataclass(frozen=True)
class Container:
    """What lies in one place.

    Attributes:
        names: everything in it but litter, POSIX paths below it; folders alone are left out, links are not.
    """

    where: str
    names: frozenset[str]
    read: Reader


def is_plain(name: str) -> bool:
    """Tell whether ``name`` is one file name everywhere: ASCII letters, digits, ``._-``, no path, at most 100."""
    return _PLAIN.fullmatch(name) is not None


def most_bytes(size: int | None) -> int:
    """Return how many bytes a file may have: one whose size no manifest names is a record."""
    return LARGEST_RECORD if size is None else LARGEST_FILE


def read_inside(folder: Path, name: str, size: int | None = None) -> bytes:
    """Return a file of ``folder``; a link may stand for it as long as it stays inside.

    Args:
        size: the bytes that it must have; None: at most :data:`LARGEST_RECORD`.

    Raises:
        OSError: it is missing, no regular file, of another size, or lies outside ``folder``.
    """
    path = folder / name
    if path.is_symlink():
        target = os.path.realpath(path, strict=True)
        if not Path(target).is_relative_to(os.path.realpath(folder, strict=True)):
            raise OSError(f"a link that leads out of the bundle, to {target}")
        path = Path(target)
    return read_regular(path, most=most_bytes(size), size=size, follow=False)


def in_folder(folder: Path) -> Container:
    """Return the folder's content; other folders in it are looked through, links to folders are not.

    Raises:
        OSError: it cannot be listed.
        ManifestError: it holds more than :data:`MOST_NAMES` names.
    """
    return Container(str(folder), frozenset(_names(folder)), lambda name, size=None: read_inside(folder, name, size))


def _names(folder: Path) -> Iterator[str]:
    """Yield paths below ``folder``; a folder that cannot be listed stands for what is in it."""
    waiting: list[tuple[str, ...]] = [()]
    left = MOST_NAMES
    while waiting:
        parts = waiting.pop()
        try:
            with os.scandir(folder.joinpath(*parts)) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        raise ManifestError(
                            f"{folder}: found more than {MOST_NAMES} files, expected a bundle's. Name its own folder."
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
