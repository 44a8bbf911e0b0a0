"""What an answer says about the object that it is about: identifiers and size, nothing of a patient."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceReference:
    """Identity and size of a DICOM image. Text that is missing in the object is empty.

    The UIDs belong in reports that go to an archive, never in logs or error texts.

    Attributes:
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
        instance_uid: SOP Instance UID.
        class_uid: SOP Class UID.
        rows: height of the stored pixels; 0 if unknown.
        columns: width of the stored pixels; 0 if unknown.
        frames: number of frames.
        frame: the classified frame, from 1; None for an object of one frame.
    """

    study_uid: str
    series_uid: str
    instance_uid: str
    class_uid: str
    rows: int = 0
    columns: int = 0
    frames: int = 1
    frame: int | None = None
