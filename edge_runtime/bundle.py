"""A bundle on disk: a folder, the same folder zipped, or one model file with its spec inside.

Nothing of a bundle is used before its SHA-256 equals the one in ``bundle.json``: each file is read once,
hashed, and those very bytes are handed on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge_runtime.embedded import read_embedded
from edge_runtime.errors import BundleNotFoundError, IntegrityError, ManifestError
from edge_runtime.manifest import SCHEMA, FileEntry, Format, Manifest, Precision, Role
from edge_runtime.records import from_dict, parse_json, to_dict

MANIFEST = "bundle.json"
SHIPPED = Path(__file__).parent / "bundles"
Content = TypeVar("Content")
_MODEL_SUFFIXES = {".tflite": Format.TFLITE, ".onnx": Format.ONNX}


@dataclass(frozen=True)
class Bundle:
    """A manifest and the way to its files."""

    where: str
    manifest: Manifest
    read_file: Callable[[str], bytes]
    names: frozenset[str]

    def content(self, entry: FileEntry) -> bytes:
        """Return a file's bytes after checking them.

        Raises:
            IntegrityError: the file is missing, or its SHA-256 is not the manifest's.
        """
        try:
            data = self.read_file(entry.name)
        except OSError as error:
            raise IntegrityError(
                f"{self.where}: {entry.name} cannot be read ({error}). Install the bundle again."
            ) from None
        found = hashlib.sha256(data).hexdigest()
        if found != entry.sha256:
            raise IntegrityError(
                f"{self.where}: {entry.name} has SHA-256 {found}, {MANIFEST} names {entry.sha256}. "
                "The file was altered or damaged: install the bundle again."
            )
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

    def verify(self) -> int:
        """Check every file and every embedded spec; return the number of files.

        Raises:
            IntegrityError: a file is missing, altered, or not in the manifest.
            ManifestError: a model file carries another spec than the manifest.
        """
        extra = sorted(self.names - {entry.name for entry in self.manifest.files} - {MANIFEST})
        if extra:
            raise IntegrityError(f"{self.where}: found {extra[0]}, which {MANIFEST} does not name. Remove it.")
        for entry in self.manifest.files:
            data = self.content(entry)
            if entry.format is None:
                continue
            inside = read_embedded(data, entry.format, f"{self.where}/{entry.name}")
            if inside != self.manifest.spec:
                raise ManifestError(f"{self.where}: the spec inside {entry.name} is not the one in {MANIFEST}.")
        return len(self.manifest.files)


def find(model: str | Path) -> Bundle:
    """Open a shipped bundle by name, or a bundle folder, zip or single model file by path.

    Raises:
        BundleNotFoundError: there is no such name or path.
        ManifestError: the manifest or embedded spec is not understood.
    """
    path = Path(model)
    if str(model) in shipped():
        path = SHIPPED / str(model)
    if not _exists(path):
        raise BundleNotFoundError(
            f"Found no model {str(model)[:200]!r}: no such path, and the models that ship are "
            f"{', '.join(shipped()) or 'none'}. See: edge-bundle list"
        )
    if path.is_dir():
        return _open_folder(path)
    if path.is_file() and path.suffix == ".zip":
        return _open_zip(path)
    if path.is_file() and path.suffix in _MODEL_SUFFIXES:
        return _open_single(path, _MODEL_SUFFIXES[path.suffix])
    raise BundleNotFoundError(
        f"{path}: found a file that is no model, expected a bundle folder, a bundle .zip, a .tflite or an .onnx."
    )


def _exists(path: Path) -> bool:
    """Tell whether anything stands at ``path``; a name that no file can have is nothing."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def shipped() -> tuple[str, ...]:
    """Return the names of the bundles in this package."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST}")))


def _open_folder(folder: Path) -> Bundle:
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleNotFoundError(f"{folder}: found no {MANIFEST}, expected a bundle. Make one with python -m export.")
    names = frozenset(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return Bundle(str(folder), _manifest(path.read_bytes(), str(path)), lambda n: (folder / n).read_bytes(), names)


def _open_zip(path: Path) -> Bundle:
    import zipfile  # here: bundles are folders on most devices, and every import is felt by the cold command

    def read_archive(read: Callable[[zipfile.ZipFile], Content]) -> Content:
        try:
            with zipfile.ZipFile(path) as archive:
                return read(archive)
        except Exception as error:  # zipfile hands on whatever its decompressors raise; all are a bad disk's to us
            raise OSError(str(error)) from None

    def read_member(name: str) -> bytes:
        return read_archive(lambda archive: archive.read(name))

    try:
        names = read_archive(lambda archive: frozenset(archive.namelist()))
        data = read_member(MANIFEST)
    except OSError as error:
        raise ManifestError(f"{path}: found no {MANIFEST} in a sound zip ({error}). Copy the file again.") from None
    return Bundle(str(path), _manifest(data, f"{path}/{MANIFEST}"), read_member, names)


def _open_single(path: Path, form: Format) -> Bundle:
    """Wrap one model file: its own spec, no guard band, and nothing measured to vouch for it."""
    data = path.read_bytes()
    spec = read_embedded(data, form, str(path))
    precision = Precision.INT8 if ".int8." in path.name else Precision.FLOAT32
    entry = FileEntry(path.name, Role.MODEL, hashlib.sha256(data).hexdigest(), len(data), form, precision)
    manifest = Manifest(SCHEMA, spec, spec.contract, (entry,), 0.0, "none", (), None, (), {})
    return Bundle(str(path.parent), manifest, lambda name: data, frozenset((path.name,)))


def _manifest(data: bytes, where: str) -> Manifest:
    """Parse and check a manifest; a newer schema is named as such before its unknown keys are."""
    value = parse_json(data, where)
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ManifestError(
            f"{where}: found schema {schema}, this release understands up to {SCHEMA}. "
            "Update edge-predict: pip install --upgrade edge-predict"
        )
    manifest = from_dict(Manifest, value, where)
    if manifest.contract != manifest.spec.contract:
        raise ManifestError(
            f"{where}: contract {manifest.contract} is not the SHA-256 of the spec's steps, {manifest.spec.contract}. "
            "The manifest was altered: install the bundle again."
        )
    for entry in manifest.files:
        _check_entry(entry, where)
    if not any(entry.role is Role.MODEL for entry in manifest.files):
        raise ManifestError(f"{where}: names no model file. Install the bundle again.")
    return manifest


def _check_entry(entry: FileEntry, where: str) -> None:
    """Refuse a name that is no plain file name everywhere, and a model that nothing could choose."""
    plain = Path(entry.name).name == entry.name and not set(entry.name) & set("/\\:\0")
    if not plain or entry.name in ("", ".", "..", MANIFEST):
        raise ManifestError(f"{where}: file name {entry.name!r} leaves the bundle; expected a plain name.")
    if entry.role is Role.MODEL and (entry.format is None or entry.precision is None):
        raise ManifestError(f"{where}: the model {entry.name} lacks its format or precision; give it both.")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``bundle.json`` into ``folder``."""
    text = json.dumps(to_dict(manifest), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def describe_files(
    folder: Path, entries: Iterable[tuple[str, Role, Format | None, Precision | None]]
) -> tuple[FileEntry, ...]:
    """Hash files in ``folder`` into entries for a manifest."""
    found = []
    for name, role, form, precision in entries:
        data = (folder / name).read_bytes()
        found.append(FileEntry(name, role, hashlib.sha256(data).hexdigest(), len(data), form, precision))
    return tuple(found)
