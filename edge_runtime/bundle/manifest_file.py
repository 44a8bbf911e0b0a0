"""Parse ``bundle.json`` into records, and check its schema, contract and file names.

A prediction requires only a :class:`Runnable`. The complete :class:`Manifest` adds the measured figures.
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
    """Return the complete manifest in ``data``; ``where`` names it in errors.

    A newer schema is reported before unknown keys.

    Raises:
        ManifestError: it is malformed, comes from a newer release, contradicts itself, or contains a file name that
            is not plain.
    """
    from edge_runtime.bundle.manifest import Manifest  # here: a prediction starts without these records

    manifest = from_dict(Manifest, _of_known_schema(data, where), where)
    _check(manifest, where)
    return manifest


def parse_runnable(data: bytes, where: str) -> Runnable:
    """Return the part of the manifest in ``data`` that a prediction requires; measured figures are not checked.

    Raises:
        ManifestError: as :func:`parse_manifest`, for this part; or a key is unknown.
    """
    value = _of_known_schema(data, where)
    needed = {key: entry for key, entry in value.items() if key not in MEASURED} if isinstance(value, dict) else value
    runnable = from_dict(Runnable, needed, where)
    _check(runnable, where)
    return runnable


def _of_known_schema(data: bytes, where: str) -> Any:
    """Return the JSON value; reject the schema of a newer release."""
    value = parse_json(data, where)
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ManifestError(
            f"{where}: found schema {str(schema)[:20]}, this release understands up to {SCHEMA}. "
            "Update edge-predict: pip install --upgrade edge-predict"
        )
    return value


def _check(manifest: Runnable, where: str) -> None:
    """Reject a manifest that contradicts itself, exceeds the limits, or contains a file name that is not plain."""
    if manifest.contract != manifest.spec.contract:
        raise ManifestError(
            f"{where}: contract {manifest.contract} is not the SHA-256 of the spec's steps, {manifest.spec.contract}. "
            "The manifest was altered: install the bundle again."
        )
    if len(manifest.files) > MOST_FILES:
        raise ManifestError(
            f"{where}: found {len(manifest.files)} files, expected at most {MOST_FILES}. Leave some files out."
        )
    for entry in manifest.files:
        _check_entry(entry, where)
    total = sum(entry.size_bytes for entry in manifest.files)
    if total > LARGEST_BUNDLE:
        raise ManifestError(
            f"{where}: found files of {total} bytes in all, expected at most {LARGEST_BUNDLE}. Leave some files out."
        )
    names = [entry.name.lower() for entry in manifest.files]  # some file systems ignore case
    if len(set(names)) != len(names):
        raise ManifestError(f"{where}: found a file twice, among {', '.join(sorted(names))}. Install the bundle again.")
    if not manifest.of_role(Role.MODEL):
        raise ManifestError(f"{where}: found no model file, expected one or more. Install the bundle again.")


def _check_entry(entry: FileEntry, where: str) -> None:
    """Reject a file name that is not plain, a size or SHA-256 out of range, and a model without format or precision."""
    if not is_plain(entry.name) or entry.name in (MANIFEST, SIGNATURE):
        raise ManifestError(
            f"{where}: found file name {entry.name[:200]!r}, which may leave the bundle or hide in it; "
            "expected a plain name of letters, digits and ._- as python -m export writes."
        )
    if not 0 <= entry.size_bytes <= LARGEST_FILE or not _SHA256.fullmatch(entry.sha256):
        raise ManifestError(
            f"{where}: {entry.name} has size {str(entry.size_bytes)[:20]} and SHA-256 {entry.sha256[:64]!r}, expected "
            f"0..{LARGEST_FILE} bytes and 64 hexadecimal digits. Install the bundle again."
        )
    if entry.role is Role.MODEL and (entry.format is None or entry.precision is None):
        raise ManifestError(f"{where}: found model {entry.name} without format or precision. Give it both.")
