"""Install, roll back and remove bundles. A process that is killed at any time leaves the old or the new state.

A single rename of ``current.json`` makes the change visible. Before it, the new version is complete, verified and
written to the disk.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE, Bundle, find, key_in_force
from edge_runtime.bundle.containers import read_inside
from edge_runtime.bundle.registry.pointers import POINTER, SCHEMA, Pointer, is_name, is_version, read_pointer
from edge_runtime.bundle.registry.transaction import changing, discard, hidden, write
from edge_runtime.bundle.registry.versions import refuse_older
from edge_runtime.errors import BundleNotFoundError, IntegrityError, StoreError
from edge_runtime.platform.atomic_files import sync_names, write_whole
from edge_runtime.platform.regular_files import reason
from edge_runtime.serialisation.records import canonical_json


class InstallOutcome(enum.Enum):
    """The outcome of an installation."""

    INSTALLED = "installed"
    MENDED = "mended"  # the same bundle was installed, with damaged, missing or unsigned files
    RETURNED = "made current again"
    UNCHANGED = "already installed"


@dataclass(frozen=True)
class Installation:
    """The result of an installation, with the current and the previous version."""

    name: str
    outcome: InstallOutcome
    pointer: Pointer
    folder: Path


def install(source: str | Path, *, trusted_key: Path | None = None, allow_downgrade: bool = False) -> Installation:
    """Copy a bundle into the store, verify every file of the copy, and make it current.

    The version that was current is kept for :func:`rollback`; older versions are removed.

    Args:
        source: the bundle's name, folder or zip.
        trusted_key: a file with public keys; by default the file in ``EDGE_TRUSTED_KEY``, if it is set.
        allow_downgrade: accept a version older than the installed or shipped one of this name. By default it is
            rejected, so that an old signed bundle cannot replace the release that fixed it.

    Raises:
        BundleError: the bundle is altered, not valid, or not signed by the trusted key.
        KeyFileError: the trusted key cannot be read.
        StoreError: this version is installed with other bytes (``version_conflict``), a newer one is in use
            (``version_older``), or the store cannot be changed.
    """
    trusted_key = key_in_force(trusted_key)
    bundle = find(source, trusted_key=trusted_key)
    if MANIFEST not in bundle.names:
        raise BundleNotFoundError(f"{source}: found a single model file, expected a bundle's folder or zip to install.")
    bundle.verify()
    name, version = bundle.manifest.spec.name, bundle.manifest.spec.version
    if not (is_name(name) and is_version(version)):
        raise StoreError(f"{source}: name {name[:60]!r} or version {version[:60]!r} is too long; shorten it.")
    with changing() as store:
        before = read_pointer(store, name)
        if not allow_downgrade:
            refuse_older(name, version, before)
        place = store / name / version
        if before is not None and version in before.versions() and place.is_dir():
            outcome = _mend(bundle, place, store)
            if outcome is InstallOutcome.UNCHANGED and version != before.current:
                outcome = InstallOutcome.RETURNED
        else:
            _put(bundle, place, store, trusted_key)
            outcome = InstallOutcome.INSTALLED
        pointer = _moved(before, version)
        if pointer != before:
            _point(store, name, pointer)
        _prune(store, name, pointer)
    return Installation(name, outcome, pointer, place)


def rollback(name: str, *, trusted_key: Path | None = None) -> Installation:
    """Make the previous version current, after verifying its files; the current version becomes the previous one.

    Args:
        name: the bundle's name.
        trusted_key: as for :func:`install`.

    Raises:
        BundleNotFoundError: no bundle of that name is installed.
        BundleError: the previous version is altered, or not signed by the trusted key.
        StoreError: there is no previous version, or the store cannot be changed.
    """
    trusted_key = key_in_force(trusted_key)
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
    return Installation(name, InstallOutcome.RETURNED, pointer, place)


def remove(name: str) -> Path:
    """Remove all installed versions of a bundle, even damaged ones, and return the folder that contained them.

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
    """Copy a bundle into a hidden folder, verify the copy, and rename it to ``place`` once it is on the disk."""
    with hidden(store) as copy:
        copy.mkdir()
        for name in _files(bundle):
            write(copy / name, _bytes(bundle, name))
        sync_names(copy)
        found = find(copy, trusted_key=trusted_key)
        found.verify()
        if found.manifest != bundle.manifest:
            raise IntegrityError(f"{bundle.where}: the bundle was replaced during installation. Install it again.")
        if place.is_symlink() or place.exists():  # left by a killed installation; nothing points to it
            discard(place, store)
        place.parent.mkdir(exist_ok=True)
        copy.rename(place)
    sync_names(place.parent)
    sync_names(store)


def _mend(bundle: Bundle, place: Path, store: Path) -> InstallOutcome:
    """Replace the files of an installed bundle that differ from the same bundle at its source.

    Raises:
        StoreError: another bundle of the same name and version is installed.
    """
    _refuse_another(_bytes(bundle, MANIFEST), place)
    outcome = InstallOutcome.UNCHANGED
    for name in _files(bundle):
        data = _bytes(bundle, name)
        if _content(place, name, len(data)) != data:
            if (place / name).is_dir() and not (place / name).is_symlink():
                discard(place / name, store)
            with hidden(store) as part:
                write_whole(place / name, data, part=part)
            outcome = InstallOutcome.MENDED
    for extra in sorted(path for path in place.iterdir() if path.name not in {*_files(bundle), SIGNATURE}):
        discard(extra, store)
        outcome = InstallOutcome.MENDED
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


def _bytes(bundle: Bundle, name: str) -> bytes:
    """Return the bytes of a file of the bundle, of its manifest or of its signature.

    Raises:
        IntegrityError: it cannot be read, or differs from the manifest.
    """
    entry = next((entry for entry in bundle.manifest.files if entry.name == name), None)
    if entry is not None:
        return bundle.content(entry)
    try:
        return bundle.read_file(name)
    except OSError as error:
        raise IntegrityError(f"{bundle.where}: {name} cannot be read ({reason(error)}). Copy it again.") from None


def _content(folder: Path, name: str, size: int | None = None) -> bytes | None:
    try:
        return read_inside(folder, name, size)
    except OSError:
        return None


def _moved(before: Pointer | None, version: str) -> Pointer:
    if before is None:
        return Pointer(SCHEMA, version)
    return before if before.current == version else Pointer(SCHEMA, version, before.current)


def _point(store: Path, name: str, pointer: Pointer) -> None:
    """Replace ``current.json`` in one step: readers see the old or the new file."""
    with hidden(store) as part:
        write_whole(store / name / POINTER, (canonical_json(pointer) + "\n").encode("ascii"), part=part)


def _prune(store: Path, name: str, pointer: Pointer) -> None:
    for folder in sorted((store / name).iterdir()):
        if is_version(folder.name) and folder.name not in pointer.versions():
            discard(folder, store)
