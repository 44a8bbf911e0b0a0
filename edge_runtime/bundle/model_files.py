"""The files of a bundle and how to read them: no byte is handed on that the manifest does not vouch for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from edge_runtime.bundle.containers import MANIFEST, SIGNATURE, Reader
from edge_runtime.bundle.runtime_manifest import FileEntry, Format, Precision, Role, Runnable
from edge_runtime.errors import IntegrityError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import WrongSizeError, reason


@dataclass(frozen=True)
class ModelFiles:
    """What of a bundle an answer needs, and the way to its files.

    Attributes:
        digest: SHA-256 of ``bundle.json``'s bytes; of a model file alone, its own.
    """

    where: str
    manifest: Runnable
    read_file: Reader
    names: frozenset[str]
    digest: str = ""

    def content(self, entry: FileEntry) -> bytes:
        """Return a file's bytes after checking them: its kind and size before any of them is read.

        Raises:
            IntegrityError: the file is missing, leads out of the bundle, or its SHA-256 or size is not the manifest's.
        """
        try:
            data = self.read_file(entry.name, entry.size_bytes)
        except WrongSizeError as error:
            raise IntegrityError(
                f"{self.where}: {entry.name} has {error.found} bytes, {MANIFEST} names {entry.size_bytes}. "
                "The file was altered or damaged: install the bundle again."
            ) from None
        except OSError as error:
            if fault := machine_error(error, f"{self.where}/{entry.name}"):
                raise fault from None
            raise IntegrityError(
                f"{self.where}: {entry.name} cannot be read ({reason(error)}). Install the bundle again."
            ) from None
        found = hashlib.sha256(data).hexdigest()
        if found != entry.sha256:
            raise IntegrityError(
                f"{self.where}: {entry.name} has SHA-256 {found}, {MANIFEST} names {entry.sha256}. "
                "The file was altered or damaged: install the bundle again."
            )
        return data

    def manifest_bytes(self) -> bytes:
        """Return the very ``bundle.json`` that was opened.

        Raises:
            IntegrityError: it is gone, or another one stands there by now.
        """
        try:
            data = self.read_file(MANIFEST)
        except OSError as error:
            raise IntegrityError(
                f"{self.where}: {MANIFEST} cannot be read ({reason(error)}). Load the bundle again."
            ) from None
        if hashlib.sha256(data).hexdigest() != self.digest:
            raise IntegrityError(f"{self.where}: {MANIFEST} was replaced while it was in use. Load the bundle again.")
        return data

    def model(self, form: Format, precision: Precision) -> FileEntry | None:
        """Return the model file of that format and precision, None if the bundle has none."""
        for entry in self.manifest.files:
            if (entry.role, entry.format, entry.precision) == (Role.MODEL, form, precision):
                return entry
        return None

    def formats(self) -> frozenset[Format]:
        """Return the formats in which the model is here."""
        return frozenset(entry.format for entry in self.manifest.files if entry.format is not None)

    def refuse_unnamed(self) -> None:
        """Refuse files that nothing vouches for: the manifest does not name them.

        Raises:
            IntegrityError: there is one; its name is in the message.
        """
        extra = sorted(self.names - {entry.name for entry in self.manifest.files} - {MANIFEST, SIGNATURE})
        if extra:
            raise IntegrityError(f"{self.where}: found {extra[0]}, which {MANIFEST} does not name. Remove it.")
