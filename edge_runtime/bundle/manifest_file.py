"""The text of ``bundle.json`` to records: schema, contract and file names are checked at this door.

A prediction reads a :class:`Runnable`; whoever wants what was measured reads the whole :class:`Manifest`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle.containers import MANIFEST, SIGNATURE, is_plain
from edge_runtime.bundle.limits import LARGEST_BUNDLE, LARGEST_FILE, MOST_FILES
from edge_runtime.bundle.runtime_manifest import MEASURED, SCHEMA, FileEntry, Role, Runnable
from edge_runtime.errors import ManifestError
from edge_runtime.serialisation.records import from_dict, parse_json

if TYPE_CHECKING:
    from edge_runtime.bundle.manifest import Manifest

_SHA256 = re.compile(r"[0-9a-f]{64}")


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Return the manifest in ``data``; a newer schema is named as such before its unknown keys are.

    Raises:
        ManifestError: it is malformed, from a newer release, contradicts itself, or names a file that is no plain
            name; ``where`` names it in the message.
    """
    from edge_runtime.bundle.manifest import Manifest  # here: a prediction starts without these records

    manifest = from_dict(Manifest, _of_known_schema(data, where), where)
    _check(manifest, where)
    return manifest


def parse_runnable(data: bytes, where: str) -> Runnable:
    """Return the part of the manifest in ``data`` that a prediction needs; what was measured may hold anything.

    Raises:
        ManifestError: as :func:`parse_manifest`, for this part; or there is a key that no manifest has.
    """
    value = _of_known_schema(data, where)
    needed = {key: entry for key, entry in value.items() if key not in MEASURED} if isinstance(value, dict) else value
    found = from_dict(Runnable, needed, where)
    _check(found, where)
    return found


def _of_known_schema(data: bytes, where: str) -> Any:
    """Return the JSON value, unless it says that a newer release wrote it."""
    value = parse_json(data, where)
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ManifestError(
            f"{where}: found schema {str(schema)[:20]}, this release understands up to {SCHEMA}. "
            "Update edge-predict: pip install --upgrade edge-predict"
        )
    return value


def _check(manifest: Runnable, where: str) -> None:
    """Refuse a manifest that contradicts itself, or whose file names are not what files may be called."""
    if manifest.contract != manifest.spec.contract:
        raise ManifestError(
            f"{where}: contract {manifest.contract} is not the SHA-256 of the spec's steps, {manifest.spec.contract}. "
            "The manifest was altered: install the bundle again."
        )
    if len(manifest.files) > MOST_FILES:
        raise ManifestError(
            f"{where}: names {len(manifest.files)} files, expected at most {MOST_FILES}. Leave some out."
        )
    for entry in manifest.files:
        _check_entry(entry, where)
    total = sum(entry.size_bytes for entry in manifest.files)
    if total > LARGEST_BUNDLE:
        raise ManifestError(
            f"{where}: names {total} bytes in all, expected at most {LARGEST_BUNDLE}. Leave some files out."
        )
    names = [entry.name.lower() for entry in manifest.files]  # some file systems tell no A from an a
    if len(set(names)) != len(names):
        raise ManifestError(f"{where}: names a file twice, among {', '.join(sorted(names))}. Install the bundle again.")
    if not manifest.of_role(Role.MODEL):
        raise ManifestError(f"{where}: names no model file. Install the bundle again.")


def _check_entry(entry: FileEntry, where: str) -> None:
    """Refuse a name that is no plain file name everywhere, and a model that nothing could choose."""
    if not is_plain(entry.name) or entry.name in (MANIFEST, SIGNATURE):
        raise ManifestError(
            f"{where}: file name {entry.name[:200]!r} may leave the bundle or hide in it; "
            "expected a plain name of letters, digits and ._- as python -m export writes."
        )
    if not 0 <= entry.size_bytes <= LARGEST_FILE or not _SHA256.fullmatch(entry.sha256):
        raise ManifestError(
            f"{where}: {entry.name} has size {str(entry.size_bytes)[:20]} and SHA-256 {entry.sha256[:64]!r}, expected "
            f"0..{LARGEST_FILE} bytes and 64 hexadecimal digits. Install the bundle again."
        )
    if entry.role is Role.MODEL and (entry.format is None or entry.precision is None):
        raise ManifestError(f"{where}: the model {entry.name} lacks its format or precision; give it both.")
