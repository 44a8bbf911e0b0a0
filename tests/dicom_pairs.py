"""Pairs of an ultrasound image and the presentation state or report that marks its lesion."""

from __future__ import annotations

from pydicom.dataset import Dataset

from tests.dicom_objects import _with_meta, presentation_state, report
from tests.dicom_sources import encoded, ultrasound

SIZE = (240, 320)
CIRCLE = [160.5, 120.5, 200.5, 120.5]
"""Centre and a point on the circle, from the corner of the upper left pixel."""


def image(number: int) -> bytes:
    """An image of a study of its own."""
    return encoded(ultrasound(number, SIZE, study=number))


def mark(number: int, kind: str = "presentation state") -> bytes:
    """The mark of :func:`image`, in the same study."""
    source = ultrasound(number, SIZE, study=number)
    made = (report if kind == "report" else presentation_state)(CIRCLE, uid=str(source.SOPInstanceUID))
    return encoded(_in_study(made, source, kind))


def _in_study(made: Dataset, source: Dataset, kind: str) -> Dataset:
    """Give a mark what an archive needs to store it in the study of its image."""
    made.SOPInstanceUID = f"{source.SOPInstanceUID}.7"
    made.StudyInstanceUID, made.SeriesInstanceUID = source.StudyInstanceUID, f"{source.SeriesInstanceUID}.7"
    made.PatientID, made.PatientName = source.PatientID, source.PatientName
    made.Modality = "SR" if kind == "report" else "PR"
    return _with_meta(made)
