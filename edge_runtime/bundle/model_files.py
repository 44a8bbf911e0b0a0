"""Read the files of a bundle: bytes are returned only if size and SHA-256 equal those in the manifest."""

from __future__ import annotations

from edge_runtime.bundle.containers import MANIFEST, SIGNATURE, Reader
from edge_runtime.bundle.runtime_manifest import FileEntry, Format, Precision, Role, Runnable
from edge_runtime.errors import IntegrityError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import WrongSizeError, reason
from edge_runtime.platform.sha256 import sha256_of
from edge_runtime.serialisation.frozen import dataclass


@dataclass(frozen=True)
class ModelFiles:
    """The part of a bundle that a prediction requires, with access to its files.

    Attributes:
        where: path of the bundle, for error messages.
        manifest: the part of the manifest that a prediction requires.
        read_file: reads a file by name, without checks.
        names: names of all files in the bundle.
        digest: SHA-256 (hex) of the bytes of ``bundle.json``, or of the model file if there is no bundle.
    """

    where: str
    manifest: Runnable
    read_file: Reader
    names: frozenset[str]
    digest: str = ""

    def content(self, entry: FileEntry) -> bytes:
        """Return the bytes of a file after checking its SHA-256; file type and size are checked before reading.

        Raises:
            IntegrityError: the file is missing or outside the bundle, or its size or SHA-256 differs from the manifest.
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
        found = sha256_of(data)
        if found != entry.sha256:
            raise IntegrityError(
                f"{self.where}: {entry.name} has SHA-256 {found}, {MANIFEST} names {entry.sha256}. "
                "The file was altered or damaged: install the bundle again."
            )
        return data

    def manifest_bytes(self) -> bytes:
        """Return the bytes of ``bundle.json``, if they are still those that were opened.

        Raises:
            IntegrityError: the file is missing or was replaced.
        """
        try:
            data = self.read_file(MANIFEST)
        except OSError as error:
            raise IntegrityError(
                f"{self.where}: {MANIFEST} cannot be read ({reason(error)}). Load the bundle again."
            ) from None
        if sha256_of(data) != self.digest:
            raise IntegrityError(f"{self.where}: {MANIFEST} was replaced while it was in use. Load the bundle again.")
        return data

    def model(self, form: Format, precision: Precision) -> FileEntry | None:
        """Return the model file of this format and precision; None if the bundle has none."""
        for entry in self.manifest.files:
            if (entry.role, entry.format, entry.precision) == (Role.MODEL, form, precision):
                return entry
        return None

    def formats(self) -> frozenset[Format]:
        """Return the formats of the model files in the bundle."""
        return frozenset(entry.format for entry in self.manifest.files if entry.format is not None)

    def refuse_unnamed(self) -> None:
        """Reject a bundle with files that the manifest does not name, as their content cannot be checked.

        Raises:
            IntegrityError: there is such a file; the message names it.
        """
        extra = sorted(self.names - {entry.name for entry in self.manifest.files} - {MANIFEST, SIGNATURE})
        if extra:
            raise IntegrityError(f"{self.where}: found {extra[0]}, which {MANIFEST} does not name. Remove it.")
