"""Which version of a package made an artifact or a bundle."""

from __future__ import annotations

from importlib import metadata


def version(package: str) -> str:
    """Return an installed distribution's version; tensorflow-cpu stands for tensorflow."""
    for name in (package, f"{package}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"
