"""Errors of training, in one tree.

TrainingError
├── DatasetError     the images on disk do not match the published layout
├── ArtifactError    a training artifact is missing or incomplete, or already exists
└── RecipeError      the recipe does not exist, or contradicts itself
"""

from __future__ import annotations

import shutil
from pathlib import Path


class TrainingError(Exception):
    """Root of the tree. Messages state what was found, what was expected, where, and the remedy."""


class DatasetError(TrainingError):
    """The images on disk do not match the published layout."""


class ArtifactError(TrainingError):
    """A training artifact is missing or incomplete, or already exists."""


class RecipeError(TrainingError):
    """The recipe does not exist, or contradicts itself."""


def why_not_written(path: Path, error: OSError) -> str:
    """Return a message: which file could not be written, why, and how many bytes are free in its folder."""
    free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else 0
    return f"{path}: cannot be written ({error.strerror or error}); found {free} bytes free in {path.parent}."
