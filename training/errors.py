"""Errors of training, in one tree.

TrainingError
├── DatasetError     the images on disk are not what the published layout promises
├── ArtifactError    a training artifact is missing, incomplete or in the way
└── RecipeError      no such recipe, or one that contradicts itself
"""

from __future__ import annotations


class TrainingError(Exception):
    """Root of the tree; the message says found, expected, where, and what to do."""


class DatasetError(TrainingError):
    """The images on disk are not what the published layout promises."""


class ArtifactError(TrainingError):
    """A training artifact is missing, incomplete or in the way."""


class RecipeError(TrainingError):
    """No such recipe, or one that contradicts itself."""
