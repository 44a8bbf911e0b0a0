"""Read a zipped bundle. A file manager may have added the folder's name to all paths, and litter files.

The archive's directory is checked completely before an entry is read. Entries are read up to the size in the directory
and the manifest.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.bundle.containers import MANIFEST, Container, most_bytes
from edge_runtime.bundle.limits import LARGEST_BUNDLE, MOST_NAMES
from edge_runtime.bundle.litter import is_litter
from edge_runtime.errors import EdgeError, IntegrityError, ManifestError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import check_size, kind, open_regular, reason

SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip, and of an empty zip."""

_LARGEST_DIRECTORY = 2 << 20  # bytes; an entry has at least 46
_HEADER = 30  # bytes before each entry's content, without its name
_DENSEST, _SMALL = 100, 1 << 20
"""Largest compression ratio of an entry of more than ``_SMALL`` bytes."""

_ENCRYPTED = 0x1 | 0x40 | 0x2000  # flags of an entry (APPNOTE 4.4.4)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def in_zip(path: Path) -> Container:
    """Return the container of the bundle in a zip, which may be in any folder of the archive.

    Raises:
        ManifestError: the file is not a valid zip, or contains no bundle or several.
        IntegrityError: an entry is encrypted, overlaps another one, is a link, has a path outside the archive or a
            name that occurs twice, or unpacks to more bytes than a bundle may have.
    """
    try:
        with _opened(path) as archive:
            if len(archive.infolist()) > MOST_NAMES:
                raise OSError(f"it holds {len(archive.infolist())} names, expected at most {MOST_NAMES}")
            _refuse_overlaps(archive, path)
            entries = _files(archive.infolist(), path)
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        raise ManifestError(
            f"{path}: found no {MANIFEST} in a sound zip ({reason(error)}). Copy the file again."
        ) from None
    top = _top(entries, path)
    _check(entries, path)

    def read(name: str, size: int | None = None) -> bytes:
        entry = entries.get(top + name)
        if entry is None:
            raise FileNotFoundError(f"the zip holds no {name}")
        check_size(entry.file_size, most_bytes(size), size)
        with _opened(path) as archive, archive.open(entry) as stream:
            data = stream.read(entry.file_size + 1)
        check_size(len(data), most_bytes(size), entry.file_size)
        return data

    return Container(str(path), frozenset(_below(top, name) for name in entries), read)


def is_zip(path: Path) -> bool:
    """Return whether a regular file begins with the bytes of a zip; False if it cannot be read."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return file.read(4) in SIGNATURES
    except OSError:
        return False


class _Bounded(io.FileIO):
    """A file that rejects reads larger than a zip's directory may be, until the directory has been read."""

    most: int | None = _LARGEST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise OSError(f"its directory has {size} bytes, expected at most {self.most}")
        return super().read(-1 if size is None else size) or b""


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield the open archive; raise OSError for every fault of the file.

    ``zipfile`` passes on any exception of its decompressors; each of them means a damaged file.
    """
    try:
        with _Bounded(open_regular(path)) as file, zipfile.ZipFile(file) as archive:
            file.most = None
            yield archive
    except (OSError, EdgeError, MemoryError):
        raise
    except Exception as error:
        raise OSError(str(error)) from None


def _files(infos: list[zipfile.ZipInfo], path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by name, without folders and litter; a backslash counts as a slash.

    Raises:
        IntegrityError: a path leads outside the archive, or a name occurs twice.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.replace("\\", "/")  # some programs on Windows write backslashes
        if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/") or "\0" in info.orig_filename:
            raise _refused(path, f"{info.orig_filename!r}, a path outside the archive")
        if name.endswith("/"):
            continue
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if is_litter(parts):
            continue
        plain = "/".join(parts)
        if plain in found:
            raise _refused(path, f"{plain!r} twice")
        found[plain] = info
    return found


def _top(entries: dict[str, zipfile.ZipInfo], path: Path) -> str:
    """Return the prefix of the names of the bundle's files: empty, or the folder with a slash.

    Raises:
        ManifestError: there is no ``bundle.json``, or more than one.
    """
    tops = sorted(name.removesuffix(MANIFEST) for name in entries if name.rpartition("/")[2] == MANIFEST)
    if not tops:
        raise ManifestError(
            f"{path}: found no {MANIFEST} in this zip, expected a bundle's folder, zipped. Zip that folder itself."
        )
    if len(tops) > 1:
        shown = " and ".join(repr(top or "its top") for top in tops[:2])
        raise ManifestError(
            f"{path}: found {len(tops)} bundles in this zip, in {shown}, expected one. Zip each one's folder alone."
        )
    return tops[0]


def _below(top: str, name: str) -> str:
    """Return a name relative to the bundle's folder."""
    return name.removeprefix(top) if name.startswith(top) else "../" * top.count("/") + name


def _check(entries: dict[str, zipfile.ZipInfo], path: Path) -> None:
    """Reject entries that a zipped bundle cannot have.

    Raises:
        IntegrityError: there is such an entry; the message names it.
    """
    for name, info in entries.items():
        form = stat.S_IFMT(info.external_attr >> 16)
        if info.flag_bits & _ENCRYPTED:
            raise _refused(path, f"{name}, encrypted")
        if form not in (0, stat.S_IFREG):
            raise _refused(path, f"{name}, {kind(form)} instead of a regular file")
        if info.compress_type not in _METHODS:
            raise _refused(path, f"{name}, compressed by method {info.compress_type}, not stored or deflated")
        if info.file_size > max(_SMALL, _DENSEST * info.compress_size):
            raise _refused(path, f"{name}, whose {info.compress_size} bytes unpack to {info.file_size}")
    total = sum(info.file_size for info in entries.values())
    if total > LARGEST_BUNDLE:
        raise _refused(path, f"{total} bytes, expected at most {LARGEST_BUNDLE}")


def _refuse_overlaps(archive: zipfile.ZipFile, path: Path) -> None:
    """Reject entries that share bytes, as a few of them can unpack to very many (Fifield 2019, A better zip bomb)."""
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    starts = [*(info.header_offset for info in infos[1:]), archive.start_dir]
    for info, following in zip(infos, starts, strict=False):
        if info.header_offset + _HEADER + info.compress_size > following:
            raise _refused(path, f"{info.filename!r}, which overlaps the next entry")


def _refused(path: Path, found: str) -> IntegrityError:
    return IntegrityError(f"{path}: found {found}. Zip the bundle's folder again.")
