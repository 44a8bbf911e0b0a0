"""A bundle on disk: a folder, the same folder zipped, or one model file with its spec inside.

No file of a bundle is used before its SHA-256 equals the one in ``bundle.json``. Each file is read once, and the bytes
that were hashed are the bytes that are used.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from edge_runtime.bundle.containers import MANIFEST, SIGNATURE, Container, Folder, in_folder
from edge_runtime.bundle.limits import LARGEST_FILE
from edge_runtime.bundle.manifest_file import parse_manifest, parse_runnable
from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.registry.pointers import current_folder
from edge_runtime.bundle.runtime_manifest import SCHEMA, FileEntry, Format, Precision, Role
from edge_runtime.bundle.signing.trusted_key import TRUSTED_KEY, key_in_force
from edge_runtime.errors import BundleNotFoundError, IntegrityError, ManifestError
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.regular_files import kind, read_regular, reason
from edge_runtime.platform.sha256 import sha256_of
from edge_runtime.serialisation.records import to_dict

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.bundle.manifest import Manifest

__all__ = [
    "MANIFEST",
    "SHIPPED",
    "SIGNATURE",
    "TRUSTED_KEY",
    "Bundle",
    "describe_files",
    "find",
    "find_files",
    "is_name",
    "key_in_force",
    "shipped",
    "write_manifest",
]

SHIPPED = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bundles")
"""The folder of the bundles in this package."""
Opened = TypeVar("Opened", bound=ModelFiles)
Opener = Callable[[Container, bytes, str], Opened]
"""Opens a bundle from its container, the bytes of its manifest, and the manifest's name for errors."""
_EXPECTED = "expected a bundle folder, a bundle .zip, a .tflite or an .onnx."
_MODEL_SUFFIXES = {".tflite": Format.TFLITE, ".onnx": Format.ONNX}


class Bundle(ModelFiles):
    """An open bundle with its complete manifest."""

    manifest: Manifest

    def verify(self) -> int:
        """Check every file and every embedded spec; return the number of files.

        Raises:
            IntegrityError: a file is missing, altered, or not in the manifest.
            ManifestError: a model file contains another spec than the manifest.
        """
        from edge_runtime.bundle.embedded import read_embedded  # imported here, as below: a prediction needs none

        self.refuse_unnamed()
        for entry in self.manifest.files:
            data = self.content(entry)
            if entry.format is None:
                continue
            inside = read_embedded(data, entry.format, f"{self.where}/{entry.name}")
            if inside != self.manifest.spec:
                raise ManifestError(
                    f"{self.where}: found another spec in {entry.name} than in {MANIFEST}, expected the same. "
                    "Export the model again."
                )
        return len(self.manifest.files)


def find(model: str | Path, *, trusted_key: Path | None = None) -> Bundle:
    """Open an installed or shipped bundle by name, or a bundle folder, zip or single model file by path.

    A name takes precedence over a path, and an installed bundle over the shipped one of the same name.

    Args:
        model: name or path.
        trusted_key: a file with public keys; the bundle must be signed with one of them.

    Raises:
        BundleNotFoundError: there is no such name or path.
        ManifestError: the manifest or embedded spec is not valid.
        SignatureError: a key is trusted, and the bundle is not signed with it or was altered after signing.
        IntegrityError: a key is trusted, and the folder or zip contains a file that the manifest does not name; or
            the name and version of an installed bundle are not those of its folder.
        SigningMissingError: a key is trusted, and ``cryptography`` is not installed.
        KeyFileError: the trusted key cannot be read.
        StoreError: the list of installed bundles cannot be read.
    """
    return _find(model, trusted_key, _whole)


def find_files(model: str | Path, *, trusted_key: Path | None = None) -> ModelFiles:
    """Open a model as :func:`find` does, but read only the part of the manifest that a prediction requires.

    Raises:
        BundleError: as :func:`find`; errors in the model's measured figures are ignored.
    """
    return _find(model, trusted_key, _needed)


def _whole(container: Container, data: bytes, where: str) -> Bundle:
    return Bundle(container.where, parse_manifest(data, where), container.read, container.names, sha256_of(data))


def _needed(container: Container, data: bytes, where: str) -> ModelFiles:
    return ModelFiles(container.where, parse_runnable(data, where), container.read, container.names, sha256_of(data))


def _find(model: str | Path, trusted_key: Path | None, opener: Opener[Opened]) -> Opened | Bundle:
    name = str(model)
    place = current_folder(name)
    if place is not None:
        return _as_installed(_open_container(_listed(place), trusted_key, opener), place)
    if is_shipped(name):
        return _open_container(_listed(os.path.join(SHIPPED, name)), trusted_key, opener)
    from pathlib import Path  # imported here, as below: most models have a name

    path = Path(model)
    mode = _mode(path, name)
    if stat.S_ISDIR(mode):
        return _open_container(_of_bundle(_listed(path)), trusted_key, opener)
    if not stat.S_ISREG(mode):
        raise BundleNotFoundError(f"{path}: found {kind(mode)}, {_EXPECTED}")
    if path.suffix in _MODEL_SUFFIXES:
        return _open_single(path, _MODEL_SUFFIXES[path.suffix], trusted_key)
    from edge_runtime.bundle.zips import in_zip, is_zip

    if path.suffix.lower() == ".zip" or is_zip(path):
        return _open_container(in_zip(path), trusted_key, opener)
    raise BundleNotFoundError(f"{path}: found a file that is not a model, {_EXPECTED}")


def _mode(path: Path, name: str) -> int:
    """Return the ``st_mode`` of ``path``; raise BundleNotFoundError if there is none or it cannot be read."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError) as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        if isinstance(error, OSError) and os.path.lexists(path):
            raise BundleNotFoundError(f"{path}: cannot be opened ({reason(error)}), {_EXPECTED}") from None
        raise BundleNotFoundError(
            f"Found no model {name[:200]!r}: no such path, and the models that ship are "
            f"{', '.join(shipped()) or 'none'}. See: edge-bundle list"
        ) from None


def is_name(model: str) -> bool:
    """Return whether :func:`find` opens this as the name of an installed or shipped bundle, not as a path."""
    return current_folder(model) is not None or is_shipped(model)


def is_shipped(name: str) -> bool:
    """Return whether ``name`` is one of :func:`shipped`, without listing the others."""
    return os.path.basename(name) == name and os.path.isfile(os.path.join(SHIPPED, name, MANIFEST))


def shipped() -> tuple[str, ...]:
    """Return the names of the bundles in this package."""
    return tuple(name for name in sorted(os.listdir(SHIPPED)) if is_shipped(name))


def _listed(folder: Folder) -> Container:
    try:
        return in_folder(folder)
    except OSError as error:
        if fault := machine_error(error, str(folder)):
            raise fault from None
        raise ManifestError(f"{folder}: cannot be listed ({reason(error)}). Let this user read it.") from None


def _open_container(container: Container, trusted_key: Path | None, opener: Opener[Opened]) -> Opened:
    """Open a bundle. The manifest is read once; with a trusted key, the signature of its bytes is checked first."""
    where = f"{container.where}/{MANIFEST}"
    try:
        data = container.read(MANIFEST)
    except OSError as error:
        if fault := machine_error(error, where):
            raise fault from None
        raise ManifestError(f"{where}: cannot be read ({reason(error)}). Install the bundle again.") from None
    if trusted_key is not None:
        from edge_runtime.bundle.signing import signatures

        signatures.require(container, data, trusted_key)
    bundle = opener(container, data, where)
    if trusted_key is not None:
        bundle.refuse_unnamed()
    return bundle


def _of_bundle(container: Container) -> Container:
    """Reject a folder without a manifest. The error names a bundle in a subfolder, as some unpackers create one."""
    if MANIFEST not in container.names:
        deeper = sorted(name.removesuffix(f"/{MANIFEST}") for name in container.names if name.endswith(f"/{MANIFEST}"))
        remedy = f"Name {container.where}/{deeper[0]}" if deeper else "Make one with python -m export."
        raise BundleNotFoundError(f"{container.where}: found no {MANIFEST}, expected a bundle. {remedy}")
    return container


def _as_installed(bundle: Opened, place: str) -> Opened:
    """Reject a bundle in the folder of another name or version: it may be signed, but it was not installed there."""
    spec, (named, version) = bundle.manifest.spec, os.path.split(place)
    name = os.path.basename(named)
    if (spec.name, spec.version) != (name, version):
        raise IntegrityError(
            f"{place}: found {spec.name} {spec.version}, expected {name} {version}. "
            f"Remove it and install again: edge-bundle remove {name}"
        )
    return bundle


def _open_single(path: Path, form: Format, trusted_key: Path | None) -> Bundle:
    """Open one model file as a bundle: with its embedded spec, without guard band, figures or signature."""
    if trusted_key is not None:
        from edge_runtime.bundle.signing import keys, signatures

        keys.read_public_keys(trusted_key)  # an error in the key file is reported first
        raise signatures.unsigned(path, "a model file alone carries none; use the signed bundle that it came from")
    from edge_runtime.bundle.embedded import read_embedded
    from edge_runtime.bundle.manifest import Manifest

    try:
        data = read_regular(path, most=LARGEST_FILE)
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        raise BundleNotFoundError(f"{path}: cannot be read ({reason(error)}), {_EXPECTED}") from None
    spec = read_embedded(data, form, str(path))
    named = (precision for precision in Precision if f".{precision.value}." in path.name)
    precision = next(named, Precision.FLOAT32)
    entry = FileEntry(path.name, Role.MODEL, sha256_of(data), len(data), form, precision)
    manifest = Manifest(SCHEMA, spec, spec.contract, (entry,), 0.0, "none", (), None, (), {})
    return Bundle(str(path.parent), manifest, lambda name, size=None: data, frozenset((path.name,)), entry.sha256)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``bundle.json`` into ``folder``."""
    text = json.dumps(to_dict(manifest), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def describe_files(
    folder: Path, entries: Iterable[tuple[str, Role, Format | None, Precision | None]]
) -> tuple[FileEntry, ...]:
    """Return manifest entries, with size and SHA-256, of files in ``folder``."""
    described = []
    for name, role, form, precision in entries:
        data = (folder / name).read_bytes()
        described.append(FileEntry(name, role, sha256_of(data), len(data), form, precision))
    return tuple(described)
