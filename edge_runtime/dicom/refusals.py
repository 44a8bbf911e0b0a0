"""Why an object is refused: one code for each reason, with what to do."""

from __future__ import annotations

import enum

from edge_runtime.errors import DicomError


class Refusal(enum.Enum):
    """The reasons. The value is the error's code after ``dicom_``."""

    NOT_INSTALLED = "not_installed"
    CODEC_MISSING = "codec_missing"
    NO_PREFIX = "no_prefix"
    META = "meta"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    SIZE_WRONG = "size_wrong"
    COMPRESSION = "compression"
    LOSSY = "lossy"
    DECODING = "decoding"
    NOT_ACCEPTED = "not_accepted"
    FOR_PROCESSING = "for_processing"
    DOCUMENT = "document"
    SEGMENTATION = "segmentation"
    NO_PIXELS = "no_pixels"
    FLOAT_PIXELS = "float_pixels"
    ONE_BIT = "one_bit"
    BITS = "bits"
    PHOTOMETRIC = "photometric"
    POLARITY = "polarity"
    MODALITY_LUT = "modality_lut"
    WINDOW_MISSING = "window_missing"
    WINDOW_KIND = "window_kind"
    WINDOW_INVALID = "window_invalid"
    REGIONS_MISSING = "regions_missing"
    REGIONS_SEVERAL = "regions_several"
    REGION_KIND = "region_kind"
    REGION_BOUNDS = "region_bounds"
    SPACING_MISSING = "spacing_missing"
    SPACING_WRONG = "spacing_wrong"
    FRAMES = "frames"
    FRAME_UNKNOWN = "frame_unknown"
    BURNT_IN = "burnt_in"
    OVERLAY = "overlay"
    MARK_MISSING = "mark_missing"
    MARKS_SEVERAL = "marks_several"
    MARK_KIND = "mark_kind"
    OWN_RESULT = "own_result"
    SEVERAL_IMAGES = "several_images"
    ZIP = "zip"
    WITHOUT_UIDS = "without_uids"

    @property
    def code(self) -> str:
        """The error's code."""
        return f"dicom_{self.value}"


def refused(reason: Refusal, name: str, found: str, expected: str) -> DicomError:
    """Return the error.

    Args:
        reason: the reason.
        name: name of the object, as its user gave it.
        found: what was found, without any text of the data set.
        expected: what was expected, and what to do.
    """
    return DicomError(f"{name}: found {found}, expected {expected}", code=reason.code)
