"""The pictures of a folder."""

from __future__ import annotations

from pathlib import Path

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp"})
"""What is taken from a folder; a picture that is named itself is read whatever its ending."""


def pictures_below(folder: Path) -> list[Path]:
    """Return the pictures in ``folder`` and below it, by ending, in order of their names."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES and not p.is_dir())
