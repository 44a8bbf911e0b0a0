"""The files of a zipped study, read one at a time with a bound."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.dicom.guard import MOST_BYTES, too_large
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.platform.machine_faults import raise_machine_fault

MOST_ENTRIES = 10_000
_ZIP = b"PK\3\4"
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class ZipEntry:
    """One file of a zip.

    Attributes:
        archive: path of the zip.
        entry: name inside the zip.
        name: name in predictions and errors: both, joined by a slash.
    """

    archive: str
    entry: str

    @property
    def name(self) -> str:
        """Path of the zip and name inside it."""
        return f"{self.archive}/{self.entry}"

    def read(self, most: int = MOST_BYTES) -> bytes:
        """Return the bytes.

        Raises:
            DicomError: ``dicom_too_large`` or ``dicom_zip``.
            MachineError: the zip cannot be read.
        """
        return _read(self, most, whole=True)

    def head(self, size: int) -> bytes:
        """Return the first bytes, at most ``size``."""
        return _read(self, size, whole=False)


def is_zip(path: str) -> bool:
    """Return whether a regular file begins as a zip does."""
    try:
        if not Path(path).is_file():
            return False
        with open(path, "rb") as file:
            return file.read(len(_ZIP)) == _ZIP
    except OSError:
        return False


def entries_of(archive: str) -> tuple[ZipEntry, ...]:
    """Return the files of a zip, sorted by name; folders are left out.

    Raises:
        DicomError: ``dicom_zip``: it is damaged, encrypted, holds a name twice or too many files.
        MachineError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            found = [each for each in opened.infolist() if not each.is_dir()]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise_machine_fault(error, archive)
        raise _unusable(archive, "a zip that cannot be read") from None
    if len(found) > MOST_ENTRIES:
        raise _unusable(archive, f"{len(found)} files in a zip")
    if any(each.flag_bits & _ENCRYPTED for each in found):
        raise _unusable(archive, "an encrypted zip")
    if len({each.filename for each in found}) != len(found):
        raise _unusable(archive, "a zip that holds a name twice")
    return tuple(ZipEntry(archive, each) for each in sorted(each.filename for each in found))


def _read(entry: ZipEntry, most: int, *, whole: bool) -> bytes:
    try:
        with zipfile.ZipFile(entry.archive) as opened, opened.open(entry.entry) as file:
            data = file.read(most + 1 if whole else most)
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, KeyError) as error:
        raise_machine_fault(error, entry.name)
        raise _unusable(entry.name, "an entry that cannot be read") from None
    if whole and len(data) > most:
        raise too_large(entry.name, f"more than {most} bytes")
    return data


def _unusable(name: str, found: str) -> Exception:
    expected = f"a whole zip of at most {MOST_ENTRIES} files without a password. Unpack it and name the folder."
    return refused(Refusal.ZIP, name, found, expected)
