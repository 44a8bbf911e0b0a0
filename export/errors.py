"""Errors of export, in one tree. After each of them, no bundle is written.

ExportError
├── CalibrationError   the calibration images are missing, altered, unreadable or too few
├── ConversionError    a converter failed, or wrote an invalid model file
└── ParityError        the outputs of an exported file differ from those of the Keras model
"""

from __future__ import annotations


class ExportError(Exception):
    """Root of the tree; each message states what was found, what was expected, where, and the remedy."""


class CalibrationError(ExportError):
    """The calibration images are missing, altered, unreadable or too few."""


class ConversionError(ExportError):
    """A converter failed, or wrote an invalid model file.

    Attributes:
        log: the last lines that the converter printed, for developers; empty if it printed nothing.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class ParityError(ExportError):
    """The outputs of an exported file differ from those of the Keras model by more than the tolerance."""


NOTHING_TO_CORRECT = "nothing to correct"
"""Message of a ConversionError from a child process: bias correction was requested, and no bias can be corrected."""
