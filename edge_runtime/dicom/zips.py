"""The files of a zipped study, read one at a time with a bound."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge_runtime.dicom.guard import MOST_BYTES, too_large
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.platform.machine_faults import raise_machine_fault

MOST_ENTRIES = 10_000
_ZIP = b"PK\3\4"
_ENCRYPTED = 0x1
_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, KeyError)
"""Exceptions of a zip that is damaged, encrypted or of an unknown kind."""


@dataclass(frozen=True)
class ZipEntry:
    """One file of a zip.

    Attributes:
        archive: path of the zip.
        entry: name inside the zip.
    """

    archive: str
    entry: str

    @property
    def name(self) -> str:
        """Name in predictions and errors: path of the zip and name inside it."""
        return entry_name(self.archive, self.entry)

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
            DicomError: ``dicom_too_large`` or ``dicom_zip``.
            MachineError: the zip cannot be read.
        """
        with StudyZip(self.archive, self.archive) as opened:
            return opened.read(self.entry)

    def head(self, size: int) -> bytes:
        """Return the first bytes, at most ``size``. Raises as :meth:`read`."""
        with StudyZip(self.archive, self.archive) as opened:
            return opened.head(self.entry, size)


class StudyZip:
    """An opened zip. Use it as a context manager."""

    def __init__(self, file: str | BinaryIO, name: str) -> None:
        """Open a zip.

        Args:
            file: its path, or the file opened for reading.
            name: its name in errors.

        Raises:
            DicomError: ``dicom_zip``: it is damaged.
            MachineError: it cannot be read.
        """
        self.name = name
        try:
            self._zip = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise_machine_fault(error, name)
            raise _unusable(name, "a zip that cannot be read") from None

    def entries(self) -> tuple[str, ...]:
        """Return the names of the files, sorted; folders are left out.

        Raises:
            DicomError: ``dicom_zip``: the zip is encrypted, holds a name twice or too many files.
        """
        found = [each for each in self._zip.infolist() if not each.is_dir()]
        if len(found) > MOST_ENTRIES:
            raise _unusable(self.name, f"{len(found)} files in a zip")
        if any(each.flag_bits & _ENCRYPTED for each in found):
            raise _unusable(self.name, "an encrypted zip")
        if len({each.filename for each in found}) != len(found):
            raise _unusable(self.name, "a zip that holds a name twice")
        return tuple(sorted(each.filename for each in found))

    def read(self, entry: str) -> bytes:
        """Return the bytes of a file. Raises as :meth:`ZipEntry.read`."""
        data = self._read(entry, MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise too_large(entry_name(self.name, entry), f"more than {MOST_BYTES} bytes")
        return data

    def head(self, entry: str, size: int) -> bytes:
        """Return the first bytes of a file, at most ``size``. Raises as :meth:`ZipEntry.read`."""
        return self._read(entry, size)

    def _read(self, entry: str, most: int) -> bytes:
        try:
            with self._zip.open(entry) as file:
                return file.read(most)
        except _DAMAGE as error:
            name = entry_name(self.name, entry)
            raise_machine_fault(error, name)
            raise _unusable(name, "an entry that cannot be read") from None

    def __enter__(self) -> StudyZip:
        """Return the zip itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Release the file."""
        self._zip.close()


def entry_name(archive: str, entry: str) -> str:
    """Return the name of a file of a zip in predictions and errors."""
    return f"{archive}/{entry}"


def is_zip(path: str) -> bool:
    """Return whether a regular file begins as a zip does."""
    try:
        if not Path(path).is_file():
            return False
        with open(path, "rb") as file:
            return file.read(len(_ZIP)) == _ZIP
    except OSError:
        return False


def _unusable(name: str, found: str) -> Exception:
    expected = f"a whole zip of at most {MOST_ENTRIES} files without a password. Unpack it and name the folder."
    return refused(Refusal.ZIP, name, found, expected)
