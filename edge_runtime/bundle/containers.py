"""Where the files of a bundle lie: a folder, or the same folder zipped. Both hand out whole files by plain name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

MANIFEST = "bundle.json"
SIGNATURE = "bundle.sig"
_PLAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
Content = TypeVar("Content")


@dataclass(frozen=True)
class Container:
    """What lies in one place; ``read`` raises OSError where no file of that name can be had.

    Attributes:
        names: everything in it, POSIX paths below it; folders alone are left out, links are not.
    """

    where: str
    names: frozenset[str]
    read: Callable[[str], bytes]


def is_plain(name: str) -> bool:
    """Tell whether ``name`` is one file name everywhere: ASCII letters, digits, ``._-``, no path, at most 100."""
    return _PLAIN.fullmatch(name) is not None


def read_inside(folder: Path, name: str) -> bytes:
    """Return a file of ``folder``; a link may stand for it as long as it stays inside.

    Raises:
        OSError: it is missing, no regular file (a pipe would wait for ever), or lies outside ``folder``.
    """
    path = folder / name
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise OSError(f"a link that leads out of the bundle, to {path.resolve()}")
    if path.exists() and not path.is_file():
        raise OSError("no regular file")
    return path.read_bytes()


def in_folder(folder: Path) -> Container:
    """Return the folder's content; other folders in it are looked through, links to folders are not."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = frozenset(path.relative_to(folder).as_posix() for path in found)
    return Container(str(folder), names, lambda name: read_inside(folder, name))


def in_zip(path: Path) -> Container:
    """Return the archive's content.

    Raises:
        OSError: it is no sound zip, or holds a name twice: readers would not agree which one counts.
    """
    import zipfile  # here: bundles are folders on most devices, and every import is felt by the cold command

    def read_archive(read: Callable[[zipfile.ZipFile], Content]) -> Content:
        try:
            with zipfile.ZipFile(path) as archive:
                return read(archive)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # zipfile hands on whatever its decompressors raise; all are a bad disk's to us
            raise OSError(str(error)) from None

    names = read_archive(lambda archive: archive.namelist())
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    if twice:
        raise OSError(f"it holds {twice[0]!r} twice")
    return Container(str(path), frozenset(names), lambda name: read_archive(lambda archive: archive.read(name)))
