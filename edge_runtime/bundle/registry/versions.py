"""Compare versions, and reject downgrades.

A signature identifies the maker of a bundle, but not its age. An old signed bundle could be installed again, with the
faults that a newer version fixed. A version older than the installed or shipped one is therefore accepted only on
request.
"""

from __future__ import annotations

import os

from edge_runtime.bundle.bundle import SHIPPED, find_files, shipped
from edge_runtime.bundle.registry.pointers import Pointer, is_version
from edge_runtime.errors import BundleError, StoreError


def version_number(version: str) -> tuple[int, ...]:
    """Return MAJOR, MINOR and PATCH of a valid version as numbers, so that 1.10.0 comes after 1.9.0."""
    return tuple(map(int, version.split(".")))


def refuse_older(name: str, version: str, before: Pointer | None) -> None:
    """Reject a version that is older than the installed or shipped bundle of this name.

    Args:
        name: the bundle's name.
        version: the version to install.
        before: the pointer of ``name`` in the store; None if it is not installed.

    Raises:
        StoreError: ``version_older``.
    """
    now, origin = (_shipped_version(name), "ships") if before is None else (before.current, "is installed")
    if now is not None and version_number(version) < version_number(now):
        raise StoreError(
            f"{name} {version}: found an older version than {now}, which {origin}. To go back on purpose: "
            f"edge-bundle install --allow-downgrade{'' if before is None else f', or edge-bundle rollback {name}'}",
            code="version_older",
        )


def _shipped_version(name: str) -> str | None:
    """Return the version of the shipped bundle of that name; None if there is none or it is not valid."""
    try:
        version = find_files(os.path.join(SHIPPED, name)).manifest.spec.version if name in shipped() else None
    except BundleError:
        return None
    return version if version is not None and is_version(version) else None
