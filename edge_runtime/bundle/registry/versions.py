"""Which of two versions is the newer one, and whether an older one may take its place.

A signature says who made a bundle and not when: whoever keeps an old signed one could install it again, with the fault
that the next one mended. So a version older than the one that its name means now is taken on request alone.
"""

from __future__ import annotations

from edge_runtime.bundle.bundle import SHIPPED, find_files, shipped
from edge_runtime.bundle.registry.pointers import Pointer, is_version
from edge_runtime.errors import BundleError, StoreError


def version_number(version: str) -> tuple[int, ...]:
    """Return MAJOR, MINOR and PATCH of a version that :func:`is_version` takes: 1.10.0 comes after 1.9.0."""
    return tuple(map(int, version.split(".")))


def refuse_older(name: str, version: str, before: Pointer | None) -> None:
    """Refuse a version that is older than the one that ``name`` means now, installed or shipped.

    Args:
        before: what the store says of ``name``; None if it is not installed.

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
    """Return the version of that name which ships; None if none does, or none that can be used."""
    try:
        version = find_files(SHIPPED / name).manifest.spec.version if name in shipped() else None
    except BundleError:
        return None
    return version if version is not None and is_version(version) else None
