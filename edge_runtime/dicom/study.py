"""Sources of a study: files, entries of a zip, bytes and data sets, each with its frame and its marks."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from edge_runtime.bundle.dicom_input import FrameChoice, Frames
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom.dataset import load, parse, require_pydicom
from edge_runtime.dicom.guard import judge
from edge_runtime.dicom.layout import layout_of
from edge_runtime.dicom.meta_header import class_in_meta
from edge_runtime.dicom.objects import check_object, not_accepted
from edge_runtime.dicom.pixels import NAME, DicomImage, image_of, region_of
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.zips import ZipEntry
from edge_runtime.errors import ImageError, UsageError
from edge_runtime.images.content import HEAD_BYTES, is_dicom
from edge_runtime.images.discovery import may_be_dicom
from edge_runtime.images.region import Region, check_asked

if TYPE_CHECKING:
    from pydicom import Dataset

Frame = int | FrameChoice | None


@dataclass(frozen=True, eq=False)
class StudyItem:
    """An image of a study.

    Attributes:
        source: a path, an entry of a zip, the bytes of a file, or a data set.
        name: its name in predictions and errors.
        frame: the frame to classify, from 1; ``ALL`` for all frames as one case; None for an object of one frame.
        marks: presentation states and reports that may mark its region.
    """

    source: str | bytes | ZipEntry | Any
    name: str
    frame: Frame = None
    marks: Sequence[Any] = ()


if TYPE_CHECKING:
    DicomSource: TypeAlias = Dataset | StudyItem
    """What is classified besides files, bytes and arrays."""


@dataclass(frozen=True, eq=False)
class OpenedObject:
    """A DICOM object, parsed, with what is asked of it.

    Attributes:
        dataset: the object.
        name: its name in predictions and errors.
        frame: the frame, or all frames.
        marks: as in :class:`StudyItem`.
        sha256: SHA-256 of the file's bytes; None if only a data set was given.
    """

    dataset: Dataset
    name: str
    frame: Frame
    marks: Sequence[Any]
    sha256: str | None

    def frames(self, spec: ModelSpec) -> tuple[int | None, ...]:
        """Return the frames to classify.

        Raises:
            DicomError: all frames are one case, and the model does not allow that (``dicom_frames``), or the object is
                refused.
        """
        if not isinstance(self.frame, FrameChoice):
            return (self.frame,)
        try:
            return self._all_frames(spec)
        except ImageError as error:
            error.sha256 = self.sha256
            raise

    def _all_frames(self, spec: ModelSpec) -> tuple[int | None, ...]:
        accepted = check_object(self.dataset, spec, self.name)
        count = layout_of(self.dataset, self.name).frames
        if count == 1:
            return (None,)
        if accepted.frames is not Frames.CASE:
            expected = f"one chosen frame for {spec.name}: --frame 1 to {count}."
            raise refused(Refusal.FRAMES, self.name, f"all of {count} frames", expected)
        return tuple(range(1, count + 1))

    def one_frame(self) -> int | None:
        """Return the frame to explain. All frames of a case have no single heatmap.

        Raises:
            DicomError: ``dicom_frames``.
        """
        if isinstance(self.frame, FrameChoice):
            raise refused(Refusal.FRAMES, self.name, "all frames", "one for a heatmap. Give its number.")
        return self.frame

    def image(self, spec: ModelSpec, frame: int | None, region: Region | None) -> tuple[DicomImage, Region | None]:
        """Return the image of a frame, and the region to classify in stored pixels.

        Raises:
            DicomError: the object is refused.
            RegionError: a region is given to a model of whole images.
            MachineError: too little memory.
        """
        try:
            shown = self.name if frame is None else f"{self.name}#{frame}"
            image = image_of(self.dataset, spec, frame, name=shown, sha256=self.sha256)
            marked = region_of(self.dataset, spec, region, self.marks, frame, self.name)
            check_asked(marked, spec.region)
            return image, marked
        except ImageError as error:
            error.sha256 = self.sha256
            raise


def open_object(
    source: Any, name: str | None, frame: Frame, marks: Sequence[Any], spec: ModelSpec
) -> OpenedObject | tuple[Any, str | None]:
    """Return the DICOM object of a source; source and name of anything else, which the reader of images takes.

    Raises:
        DicomError: the object is refused before it is parsed.
        ImageError, MachineError: the file cannot be read.
    """
    if isinstance(source, StudyItem):
        frame, marks = source.frame if frame is None else frame, marks or source.marks
        source, name = source.source, name or source.name
    found = _object_of(source, name, frame, marks, spec)
    if isinstance(found, tuple) and frame is not None:
        raise UsageError(f"{found[1] or 'image'}: found a frame for an image that is no DICOM. Leave the frame out.")
    return found


def _object_of(
    source: Any, name: str | None, frame: Frame, marks: Sequence[Any], spec: ModelSpec
) -> OpenedObject | tuple[Any, str | None]:
    if is_dataset(source):
        return OpenedObject(source, name or NAME, frame, _parsed(marks), None)
    if isinstance(source, ZipEntry):
        data = source.read()
        if not is_dicom(data[:HEAD_BYTES]):
            return data, name or source.name
        return _of_bytes(data, name or source.name, frame, marks, spec)
    if isinstance(source, bytes):
        return (
            _of_bytes(source, name or "bytes", frame, marks, spec) if is_dicom(source[:HEAD_BYTES]) else (source, name)
        )
    if isinstance(source, str | os.PathLike) and may_be_dicom(source):
        shown = name or os.fspath(source)
        return _of_bytes(load(source, shown), shown, frame, marks, spec)
    return source, name


def is_dataset(source: object) -> bool:
    """Return whether an object is a data set of pydicom, without importing pydicom."""
    module = sys.modules.get("pydicom")
    return module is not None and isinstance(source, module.Dataset)


def _of_bytes(data: bytes, name: str, frame: Frame, marks: Sequence[Any], spec: ModelSpec) -> OpenedObject:
    digest = hashlib.sha256(data).hexdigest()
    try:
        if spec.dicom is None:
            raise not_accepted(class_in_meta(data), spec, name)
        require_pydicom(name)
        judged = judge(data, name)
        del data
        return OpenedObject(parse(judged, name), name, frame, _parsed(marks), digest)
    except ImageError as error:
        error.sha256 = digest
        raise


def _parsed(marks: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(parsed_mark(mark) for mark in marks)


def parsed_mark(mark: Any) -> Any:
    """Return the data set of a mark that may be a path, bytes, an entry of a zip or a data set.

    Raises:
        DicomError: the file is refused.
        ImageError, MachineError: it cannot be read.
    """
    if is_dataset(mark):
        return mark
    name = mark_name(mark)
    require_pydicom(name)
    data = mark.read() if isinstance(mark, ZipEntry) else mark if isinstance(mark, bytes) else load(mark, name)
    return parse(judge(data, name), name)


def mark_name(mark: Any) -> str:
    """Return the name of a mark in errors."""
    return mark.name if isinstance(mark, ZipEntry) else os.fspath(mark) if isinstance(mark, str | os.PathLike) else NAME
