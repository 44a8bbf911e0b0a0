"""Which version of a package made an artifact or a bundle."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata


def version(package: str) -> str:
    """Return an installed distribution's version; tensorflow-cpu stands for tensorflow."""
    for name in (package, f"{package}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of Python, then of each package, by name."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
