"""Install, roll back and remove bundles. A process that is killed at any moment leaves the old state or the new one.

The step that counts is one rename of ``current.json``; before it the new version is whole, verified and on the disk.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE, Bundle, find
from edge_runtime.bundle.containers import read_inside
from edge_runtime.disk import sync_names
from edge_runtime.errors import BundleNotFoundError, StoreError
from edge_runtime.records import canonical_json
from edge_runtime.store.changing import changing, discard, hidden, write
from edge_runtime.store.pointers import POINTER, SCHEMA, Pointer, is_name, is_version, read_pointer


class Outcome(enum.Enum):
    """What an installation did."""

    INSTALLED = "installed"
    MENDED = "mended"  # this very bundle was there, with damaged, missing or unsigned files
    RETURNED = "made current again"
    UNCHANGED = "already installed"


@dataclass(frozen=True)
class Change:
    """An installation: which version is current now, and which was before."""

    name: str
    outcome: Outcome
    pointer: Pointer
    folder: Path


def install(source: str | Path, *, trusted_key: Path | None = None) -> Change:
    """Copy a bundle into the store, verify every file of the copy, and make it current.

    The version that was current is kept for :func:`rollback`; older ones are removed.

    Raises:
        BundleError: the bundle is altered, not understood, or not signed by the trusted key.
        StoreError: this version is installed with other bytes, or the store cannot be changed.
    """
    bundle = find(source, trusted_key=trusted_key)
    if MANIFEST not in bundle.names:
        raise BundleNotFoundError(f"{source}: found a single model file, expected a bundle's folder or zip to install.")
    bundle.verify()
    name, version = bundle.manifest.spec.name, bundle.manifest.spec.version
    if not (is_name(name) and is_version(version)):
        raise StoreError(f"{source}: name {name[:60]!r} or version {version[:60]!r} is too long; shorten it.")
    with changing() as store:
        before = read_pointer(store, name)
        place = store / name / version
        if before is not None and version in before.versions() and place.is_dir():
            outcome = _mend(bundle, place, store)
            if outcome is Outcome.UNCHANGED and version != before.current:
                outcome = Outcome.RETURNED
        else:
            _put(bundle, place, store, trusted_key)
            outcome = Outcome.INSTALLED
        pointer = _moved(before, version)
        if pointer != before:
            _point(store, name, pointer)
        _prune(store, name, pointer)
    return Change(name, outcome, pointer, place)


def rollback(name: str, *, trusted_key: Path | None = None) -> Change:
    """Make the previous version current, after verifying its files; the current one becomes the previous.

    Raises:
        BundleNotFoundError: no bundle of that name is installed.
        BundleError: the previous version is altered, or not signed by the trusted key.
        StoreError: there is no previous version, or the store cannot be changed.
    """
    with changing() as store:
        before = read_pointer(store, name) if _is_here(store, name) else None
        if before is None:
            raise _not_installed(store, name)
        if before.previous is None:
            raise StoreError(f"{store / name}: found {before.current} alone, expected a previous version to return to.")
        place = store / name / before.previous
        find(place, trusted_key=trusted_key).verify()
        pointer = Pointer(SCHEMA, before.previous, before.current)
        _point(store, name, pointer)
    return Change(name, Outcome.RETURNED, pointer, place)


def remove(name: str) -> Path:
    """Remove every installed version of a bundle, also a damaged one; return the folder that it was in.

    Raises:
        BundleNotFoundError: no bundle of that name is installed.
        StoreError: the store cannot be changed.
    """
    with changing() as store:
        if not _is_here(store, name):
            raise _not_installed(store, name)
        discard(store / name, store)
    return store / name


def _put(bundle: Bundle, place: Path, store: Path, trusted_key: Path | None) -> None:
    """Copy into a hidden folder, verify the copy, and rename it to ``place`` when all of it is on the disk."""
    with hidden(store) as copy:
        copy.mkdir()
        for name in _files(bundle):
            write(copy / name, bundle.read_file(name))
        sync_names(copy)
        find(copy, trusted_key=trusted_key).verify()
        if place.is_symlink() or place.exists():  # a killed installation got as far as here; nothing points to it
            discard(place, store)
        place.parent.mkdir(exist_ok=True)
        copy.rename(place)
    sync_names(place.parent)
    sync_names(store)


def _mend(bundle: Bundle, place: Path, store: Path) -> Outcome:
    """Replace, one by one, the files of an installed bundle that differ from the same bundle's own.

    Raises:
        StoreError: it is another bundle of the same name and version.
    """
    _refuse_another(bundle.read_file(MANIFEST), place)
    outcome = Outcome.UNCHANGED
    for name in _files(bundle):
        data = bundle.read_file(name)
        if _content(place, name) != data:
            with hidden(store) as copy:
                write(copy, data)
                copy.replace(place / name)
            outcome = Outcome.MENDED
    for extra in sorted(path for path in place.iterdir() if path.name not in {*_files(bundle), SIGNATURE}):
        discard(extra, store)
        outcome = Outcome.MENDED
    sync_names(place)
    find(place).verify()
    return outcome


def _refuse_another(manifest: bytes, place: Path) -> None:
    found = _content(place, MANIFEST)
    if found != manifest:
        sums = [hashlib.sha256(data).hexdigest()[:16] if data is not None else "none" for data in (found, manifest)]
        raise StoreError(
            f"{place}: version {place.name} is installed with another {MANIFEST} (SHA-256 {sums[0]}, the new one "
            f"{sums[1]}). Give the new bundle a version of its own, or first: edge-bundle remove {place.parent.name}",
            code="version_conflict",
        )


def _is_here(store: Path, name: str) -> bool:
    return is_name(name) and (store / name).is_dir()


def _not_installed(store: Path, name: str) -> BundleNotFoundError:
    return BundleNotFoundError(
        f"{store}: found no installed bundle {name[:200]!r}. A bundle that ships with the package cannot be changed. "
        "See: edge-bundle list"
    )


def _files(bundle: Bundle) -> tuple[str, ...]:
    signature = (SIGNATURE,) if SIGNATURE in bundle.names else ()
    return (MANIFEST, *signature, *(entry.name for entry in bundle.manifest.files))


def _content(folder: Path, name: str) -> bytes | None:
    try:
        return read_inside(folder, name)
    except OSError:
        return None


def _moved(before: Pointer | None, version: str) -> Pointer:
    if before is None:
        return Pointer(SCHEMA, version)
    return before if before.current == version else Pointer(SCHEMA, version, before.current)


def _point(store: Path, name: str, pointer: Pointer) -> None:
    """Replace ``current.json`` as a whole: readers see the old one or the new one."""
    with hidden(store) as text:
        write(text, (canonical_json(pointer) + "\n").encode("ascii"))
        text.replace(store / name / POINTER)
    sync_names(store / name)


def _prune(store: Path, name: str, pointer: Pointer) -> None:
    for folder in sorted((store / name).iterdir()):
        if is_version(folder.name) and folder.name not in pointer.versions():
            discard(folder, store)
