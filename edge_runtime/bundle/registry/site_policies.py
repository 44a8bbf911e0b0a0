"""Install, roll back and remove site policies. A process that is killed at any time leaves the old or the new state.

A single rename of the pointer makes a change visible, as for bundles (:mod:`edge_runtime.bundle.registry.install`).
"""

from __future__ import annotations

from pathlib import Path

from edge_runtime.bundle.model_files import ModelFiles
from edge_runtime.bundle.registry.pointers import is_name
from edge_runtime.bundle.registry.site_pointers import (
    FOLDER,
    POINTER,
    SCHEMA,
    SitePointer,
    read_site_pointer,
    site_policy_file,
)
from edge_runtime.bundle.registry.transaction import changing, discard, hidden
from edge_runtime.bundle.site_policy_file import read_site_policy, signature_path
from edge_runtime.errors import SitePolicyError
from edge_runtime.platform.atomic_files import sync_names, write_whole
from edge_runtime.serialisation.records import canonical_json


def install_site_policy(source: Path, bundle: ModelFiles, trusted_key: Path | None = None) -> SitePointer:
    """Copy a site policy into the store and make it the one in force; the one before is kept for a rollback.

    Args:
        source: the policy's file, or the folder of ``edge-bundle calibrate-site``.
        bundle: the bundle that the model's name refers to.
        trusted_key: as for :func:`edge_runtime.bundle.site_policy_file.read_site_policy`.

    Raises:
        SitePolicyError: it is missing or invalid, of another bundle, or not newer than the last one
            (``site_policy_older``).
        SignatureError: with a trusted key: it is not signed by it.
        StoreError: the store cannot be changed.
    """
    found = read_site_policy(source, trusted_key)
    found.check_for(bundle)
    model, version = found.policy.model, found.policy.version
    with changing() as store:
        before = read_site_pointer(model)
        if before is not None and version <= before.last:
            raise SitePolicyError(
                f"{found.path}: found version {version} of the site policy, expected {before.last + 1} or more. To "
                f"return to an earlier one: edge-bundle site-policy rollback {model}",
                code="site_policy_older",
            )
        place = store / model / FOLDER
        place.mkdir(parents=True, exist_ok=True)
        signature = signature_path(found.path)
        if signature.is_file():
            _put(store, signature_path(site_policy_file(store, model, version)), signature.read_bytes())
        _put(store, site_policy_file(store, model, version), found.path.read_bytes())
        copy = read_site_policy(site_policy_file(store, model, version), trusted_key)
        if copy.sha256 != found.sha256:
            raise SitePolicyError(f"{found.path}: was replaced during installation. Install it again.")
        pointer = SitePointer(SCHEMA, version, None if before is None else before.current, version)
        _point(store, model, pointer)
        _prune(store, model, pointer)
    return pointer


def rollback_site_policy(model: str, bundle: ModelFiles, trusted_key: Path | None = None) -> SitePointer:
    """Return to the site policy before; a second rollback undoes the first.

    Raises:
        SitePolicyError: there is none before (``site_policy_missing``), or it is of another bundle.
        SignatureError, StoreError: as in :func:`install_site_policy`.
    """
    with changing() as store:
        before = read_site_pointer(model)
        if before is None or before.previous is None:
            raise SitePolicyError(
                f"{store / model}: found no earlier site policy, expected one to return to. See: edge-bundle "
                f"site-policy list",
                code="site_policy_missing",
            )
        read_site_policy(site_policy_file(store, model, before.previous), trusted_key).check_for(bundle)
        pointer = SitePointer(SCHEMA, before.previous, before.current, before.last)
        _point(store, model, pointer)
    return pointer


def remove_site_policy(model: str) -> None:
    """Take the site policy out of force and delete its files; the bundle's own thresholds decide from then on.

    Damaged policies and pointers are removed as well.

    Raises:
        SitePolicyError: none is installed (``site_policy_missing``).
        StoreError: the store cannot be changed.
    """
    with changing() as store:
        place = store / model / FOLDER
        if not is_name(model) or not place.is_dir():
            raise SitePolicyError(
                f"{store}: found no site policy of {model[:100]!r}. See: edge-bundle site-policy list",
                code="site_policy_missing",
            )
        last = _last(store, model)
        pointer = SitePointer(SCHEMA, None, None, last)
        _point(store, model, pointer)
        _prune(store, model, pointer)


def _last(store: Path, model: str) -> int:
    """Return the highest version, from the pointer or, if it is damaged, from the names of the files."""
    try:
        pointer = read_site_pointer(model)
    except SitePolicyError:
        pointer = None
    named = [int(path.stem) for path in (store / model / FOLDER).glob("*.json") if path.stem.isdecimal()]
    return max(named, default=0) if pointer is None else pointer.last


def _put(store: Path, path: Path, data: bytes) -> None:
    with hidden(store) as part:
        write_whole(path, data, part=part)


def _point(store: Path, model: str, pointer: SitePointer) -> None:
    """Replace the pointer in one step: readers see the old or the new file."""
    _put(store, store / model / FOLDER / POINTER, (canonical_json(pointer) + "\n").encode("ascii"))
    sync_names(store / model)


def _prune(store: Path, model: str, pointer: SitePointer) -> None:
    kept = {str(version) for version in (pointer.current, pointer.previous) if version is not None}
    for path in sorted((store / model / FOLDER).iterdir()):
        if path.name != POINTER and path.stem not in kept:
            discard(path, store)
