"""Errors of training, in one tree.

TrainingError
├── DatasetError     the images on disk are not what the published layout promises
├── ArtifactError    a training artifact is missing, incomplete or in the way
└── RecipeError      no such recipe, or one that contradicts itself
"""

from __future__ import annotations

import shutil
from pathlib import Path


class TrainingError(Exception):
    """Root of the tree; the message says found, expected, where, and what to do."""


class DatasetError(TrainingError):
    """The images on disk are not what the published layout promises."""


class ArtifactError(TrainingError):
    """A training artifact is missing, incomplete or in the way."""


class RecipeError(TrainingError):
    """No such recipe, or one that contradicts itself."""


def why_not_written(path: Path, error: OSError) -> str:
    """Say which file could not be written, why, and how many bytes are free where it should stand."""
    free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else 0
    return f"{path}: cannot be written ({error.strerror or error}); found {free} bytes free in {path.parent}."
