"""The pictures of a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from edge_runtime.errors import ImageUnreadableError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".webp"})
"""What is taken from a folder; a picture that is named itself is read whatever its ending."""


def folder_error(error: OSError) -> ImageUnreadableError:
    """Say which folder cannot be listed and why."""
    return ImageUnreadableError(
        f"{error.filename}: found a folder that cannot be listed ({error.strerror}), expected its pictures. "
        "Mount it again or change its permissions.",
        code="folder_unreadable",
    )


def _refuse(error: OSError) -> NoReturn:
    raise folder_error(error)


def pictures_below(folder: Path, unreadable: Callable[[OSError], object] = _refuse) -> list[Path]:
    """Return the pictures in ``folder`` and below it, by ending, in order of their names.

    Links to files are taken, links to folders are not entered.

    Args:
        unreadable: told of every folder that cannot be listed; by default that is an error, because the
            pictures in it would be missing without a word.

    Raises:
        ImageUnreadableError: ``folder_unreadable``.
    """
    found = [
        Path(place, name)
        for place, _, names in os.walk(folder, onerror=unreadable)
        for name in names
        if Path(name).suffix.lower() in PICTURE_SUFFIXES
    ]
    return sorted(found)
