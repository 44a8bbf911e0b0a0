"""The images of a study that the command line names: DICOM and other files, folders and zips, with their marks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.cli.images import NamedImages, in_folder, without_images
from edge_runtime.dicom.parts import PartOfStudy, part_of
from edge_runtime.dicom.study import StudyItem, mark_name, parsed_mark
from edge_runtime.dicom.zips import StudyZip, ZipEntry, is_zip
from edge_runtime.errors import DicomError, ImageError, MachineError
from edge_runtime.images.content import HEAD_BYTES, is_dicom, kind_of
from edge_runtime.images.discovery import head_of
from edge_runtime.images.entries import reason_of_content, reason_of_path
from edge_runtime.images.left_out import LeftOut
from edge_runtime.images.region import region_error
from edge_runtime.inference.prediction import Failure

Found = StudyItem | Failure


def study_images(arguments: Iterable[str], spec: ModelSpec) -> NamedImages:
    """Return the images of the arguments, for a model that accepts DICOM.

    Presentation states and reports mark the regions of images. What an argument names itself is classified or refused
    by name, whatever it is; other objects without an image are left out.

    Raises:
        RegionError: the model requires regions, and no argument is a DICOM image, which could have one.
    """
    found: list[Found] = []
    left_out: list[LeftOut] = []
    named: set[str] = set()
    for argument in arguments:
        if os.path.isdir(argument):
            each_in_folder = in_folder(argument, left_out, dicom=True)
            found += [StudyItem(each, each) if isinstance(each, str) else each for each in each_in_folder]
        elif is_zip(argument):
            zipped = _in_zip(argument)
            found += zipped[0]
            left_out += zipped[1]
        else:
            named.add(argument)
            found.append(StudyItem(argument, argument))
    return _sorted(found, left_out, spec, named)


def _in_zip(archive: str) -> tuple[list[Found], list[LeftOut]]:
    """Return the files of a zipped study, with the rules of a folder."""
    images: list[Found] = []
    left_out: list[LeftOut] = []
    try:
        with StudyZip(archive, archive) as opened:
            for entry in opened.entries():
                kind = kind_of(opened.head(entry, HEAD_BYTES))
                reason = reason_of_path(entry) or reason_of_content(entry, kind, dicom=True)
                item = ZipEntry(archive, entry)
                if reason is None:
                    images.append(StudyItem(item, item.name))
                else:
                    left_out.append(LeftOut(item.name, reason))
    except (DicomError, MachineError) as error:
        images.append(Failure(archive, error))
    return images or [without_images(archive)], left_out


def _sorted(found: list[Found], left_out: list[LeftOut], spec: ModelSpec, named: set[str]) -> NamedImages:
    images: list[tuple[StudyItem, bool] | Failure] = []
    marks: list[Any] = []
    for item in found:
        if isinstance(item, Failure):
            images.append(item)
            continue
        head = _dicom_head(item)
        part = part_of(head, partial(_source, item)) if head else PartOfStudy.IMAGE
        if part is PartOfStudy.MARK and spec.region is not None:
            marks.append(item.source)
        elif part is PartOfStudy.IMAGE or item.name in named:
            images.append((item, bool(head)))
        elif part.reason is not None:
            left_out.append(LeftOut(item.name, part.reason))
    if spec.region is not None and not any(not isinstance(each, Failure) and each[1] for each in images):
        raise region_error(None)
    parsed, broken = _parsed(marks)
    kept = [each if isinstance(each, Failure) else _asked(*each, parsed, spec) for each in images]
    return NamedImages((*kept, *broken), tuple(left_out))


def _source(item: StudyItem) -> Any:
    return item.source


def _asked(item: StudyItem, is_dicom: bool, marks: list[Any], spec: ModelSpec) -> str | StudyItem | Failure:
    """Return what to classify: a path stays one; an image for a model of regions gets its marks."""
    if spec.region is None:
        return item.source if isinstance(item.source, str) else item
    return StudyItem(item.source, item.name, marks=marks) if is_dicom else Failure(item.name, region_error(None))


def _parsed(marks: list[Any]) -> tuple[list[Any], list[Failure]]:
    """Parse the marks once. One that is damaged becomes a failure of its own."""
    found: list[Any] = []
    broken: list[Failure] = []
    for mark in marks:
        try:
            found.append(parsed_mark(mark))
        except (ImageError, MachineError) as error:
            broken.append(Failure(mark_name(mark), error))
    return found, broken


def _dicom_head(item: StudyItem) -> bytes:
    """Return the first bytes of a DICOM file; empty for any other file, and for one that cannot be read."""
    try:
        head = item.source.head(HEAD_BYTES) if isinstance(item.source, ZipEntry) else head_of(str(item.source))
    except (OSError, ValueError, DicomError, MachineError):
        return b""
    return head if is_dicom(head) else b""
