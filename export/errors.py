"""Errors of export, in one tree. None of them leaves a bundle behind.

ExportError
├── CalibrationError   the calibration images are missing, altered, unreadable or too few
├── ConversionError    a converter failed, or wrote something that is no sound model
└── ParityError        an exported file does not answer as the Keras model does
"""

from __future__ import annotations


class ExportError(Exception):
    """Root of the tree; the message says found, expected, where, and what to do."""


class CalibrationError(ExportError):
    """The calibration images are missing, altered, unreadable or too few."""


class ConversionError(ExportError):
    """A converter failed, or wrote something that is no sound model."""


class ParityError(ExportError):
    """An exported file does not answer as the Keras model does."""


NOTHING_TO_CORRECT = "nothing to correct"
"""Said by a conversion, in its own process, that was to correct a bias which the network does not have."""
