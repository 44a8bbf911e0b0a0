"""Versions of the packages that an artifact or a bundle was made with."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata


def version(package: str) -> str:
    """Return the version of an installed distribution; ``tensorflow-cpu`` counts as ``tensorflow``."""
    for name in (package, f"{package}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return name → version, for Python and then for each package."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
