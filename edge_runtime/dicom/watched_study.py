"""DICOM files of a watched folder: marks and images that belong together, and clips as one case.

The files stay where they are. What has no line in the results yet is looked at again after a restart, so nothing else
is stored.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom.dataset import read_dataset, silent, text
from edge_runtime.dicom.mark_store import MarkStore
from edge_runtime.dicom.marks import may_mark
from edge_runtime.dicom.meta_header import class_in_meta
from edge_runtime.dicom.parts import PartOfStudy, part_of, reason_of_object
from edge_runtime.dicom.refusals import Refusal
from edge_runtime.dicom.spool import Place
from edge_runtime.dicom.study import StudyItem
from edge_runtime.errors import ImageError, ImageNotFoundError, MachineError
from edge_runtime.images.content import HEAD_BYTES, is_dicom
from edge_runtime.images.discovery import head_of
from edge_runtime.images.left_out import LeftOutReason
from edge_runtime.images.region import region_error
from edge_runtime.inference.prediction import Failure, Prediction


class WatchedStudy:
    """What is to be done with each file of a watched folder."""

    def __init__(self, *, all_frames: bool, mark_wait_s: float) -> None:
        """Start without any mark.

        Args:
            all_frames: whether all frames of a clip are one case.
            mark_wait_s: longest time that an image waits for a circle, and a circle for its image, in seconds.
        """
        self._frame = FrameChoice.ALL if all_frames else None
        self._files = _Files()
        self._marks = MarkStore(self._files, mark_wait_s)
        self._stamps: dict[str, object] = {}
        self._uid = ""

    def expire(self) -> None:
        """Let the images go on that waited for the longest time."""
        self._marks.expire()

    def is_due(self, path: str, stamp: object) -> bool:
        """Return whether a file is new or changed, or waits no longer. A changed file has another stamp."""
        return Path(path) not in self._files.held or self._stamps.get(path) != stamp

    def to_predict(self, path: str, stamp: object, spec: ModelSpec) -> str | StudyItem | Failure | None:
        """Return what the predictor takes; None for a mark, which is kept."""
        self._stamps[path], self._uid = stamp, ""
        try:
            head = head_of(path)
            if not is_dicom(head[:HEAD_BYTES]):
                return path if spec.region is None else Failure(path, region_error(None))
            if spec.region is None:
                return path if self._frame is None else StudyItem(path, path, self._frame)
            return self._of_region(path, may_mark(class_in_meta(head)))
        except OSError:  # the predictor says why
            return path
        except (ImageError, MachineError) as error:
            return Failure(path, error)

    def waits(self, path: str, answer: Prediction | Failure) -> bool:
        """Return whether an image only lacks its circle, and waits for it from now on."""
        missing = isinstance(answer, Failure) and answer.error.code == Refusal.MARK_MISSING.code
        return missing and bool(self._uid) and self._marks.wait(Path(path), self._uid)

    def _of_region(self, path: str, is_mark: bool) -> StudyItem | None:
        dataset = read_dataset(path)
        if is_mark:
            self._marks.keep(Path(path), dataset)
            self._files.held.add(Path(path))
            return None
        with silent(path):
            self._uid = text(dataset, "SOPInstanceUID")
        try:
            marks: list[Any] = self._marks.of(self._uid)
        except ImageNotFoundError:  # somebody removed the mark
            marks = []
        return StudyItem(path, path, self._frame, marks)


class _Files:
    """The watched folder as a shelf of marks and images, where nothing moves.

    Attributes:
        held: marks, and images that wait.
    """

    def __init__(self) -> None:
        self.held: set[Path] = set()

    def waiting(self, _: Place = Place.INCOMING) -> list[Path]:
        return []

    def move(self, instance: Path, place: Place) -> Path:
        if place is Place.INCOMING:
            self.held.discard(instance)
        else:
            self.held.add(instance)
        return instance

    def drop(self, instance: Path) -> None:
        """Leave the file: it is its user's."""

    def age_s(self, instance: Path) -> float:
        """Return the time since the last change; infinite if the file is gone."""
        try:
            return time.time() - instance.stat().st_mtime
        except OSError:
            return float("inf")


def reason_beside_marks(path: str) -> LeftOutReason | None:
    """Return why a file is left out, as :func:`reason_of_object`; None for marks, too."""
    reason = reason_of_object(path)
    if reason is not LeftOutReason.DICOM_NO_IMAGE:
        return reason
    return None if part_of(head_of(path), lambda: path) is PartOfStudy.MARK else reason
