"""The circle that a person drew around a finding, from a presentation state or a structured report.

Graphic annotations in units of PIXEL (PS3.3 C.10.5) and spatial coordinates of reports (PS3.3 C.18.6) both place (0, 0)
at the upper left *corner* of the upper left pixel, and (1, 1) at its lower right corner. Regions of this package are
measured from pixel *centres*, so both lose 0.5. Units of DISPLAY and MATRIX are refused. Of a CIRCLE, the first point
is the centre and the second one lies on the perimeter (C.10.5.1.2, C.18.6.1.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.dicom.dataset import silent, text, value
from edge_runtime.dicom.own_results import own_result
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.structure import MOST_DEPTH, MOST_ELEMENTS
from edge_runtime.images.region import Region

if TYPE_CHECKING:
    from pydicom import Dataset

PRESENTATION_STATES = ("1.2.840.10008.5.1.4.1.1.11.",)
REPORTS = ("1.2.840.10008.5.1.4.1.1.88.",)
CORNER_TO_CENTRE = 0.5
_PIXEL = "PIXEL"


def may_mark(class_uid: str) -> bool:
    """Return whether objects of this SOP class can mark regions: presentation states and structured reports."""
    return class_uid.startswith(PRESENTATION_STATES + REPORTS)


def marked_regions(marks: Sequence[Dataset], instance_uid: str, frame: int | None, name: str) -> tuple[Region, ...]:
    """Return the different circles around findings of one image, in its stored pixels, from pixel centres.

    Args:
        marks: presentation states and reports.
        instance_uid: SOP Instance UID of the image.
        frame: frame of the image, from 1; None for an image of one frame.
        name: name of the image in errors.

    Raises:
        DicomError: ``dicom_mark_kind``: a circle of this image has other units, or no two points.
    """
    found: list[Region] = []
    with silent(name):
        for circle in (each for mark in marks for each in _circles(mark)):
            if not circle.shows(instance_uid, frame):
                continue
            if circle.units != _PIXEL:
                expected = "PIXEL. Draw the circle on the image."
                raise refused(Refusal.MARK_KIND, name, "a circle in units of the display", expected)
            region = _region(circle.data, name)
            if region not in found:
                found.append(region)
    return tuple(found)


def instances_marked_by(mark: Dataset, name: str) -> frozenset[str]:
    """Return the SOP Instance UIDs of the images that the circles of a presentation state or report refer to.

    Raises:
        DicomError: ``dicom_damaged``: a value of the mark cannot be read.
    """
    with silent(name):
        return frozenset(text(each, "ReferencedSOPInstanceUID") for circle in _circles(mark) for each in circle.images)


def one_region(regions: Sequence[Region], name: str) -> Region:
    """Return the only region.

    Raises:
        DicomError: ``dicom_mark_missing`` or ``dicom_marks_several``.
    """
    if not regions:
        expected = "a circle around the finding: --region, or a presentation state or report with the image."
        raise refused(Refusal.MARK_MISSING, name, "no marked region", expected)
    if len(regions) > 1:
        expected = "one. Choose it with --region X,Y,RADIUS."
        raise refused(Refusal.MARKS_SEVERAL, name, f"{len(regions)} marked regions", expected)
    return regions[0]


def _region(data: Sequence[Any], name: str) -> Region:
    try:
        x, y, edge_x, edge_y = (float(each) for each in data)
        radius = math.hypot(edge_x - x, edge_y - y)
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(radius) and radius > 0):
            raise ValueError
    except (TypeError, ValueError):
        expected = "its centre and a point on it. Draw it again."
        raise refused(Refusal.MARK_KIND, name, "a circle without two points", expected) from None
    return Region(x - CORNER_TO_CENTRE, y - CORNER_TO_CENTRE, radius)


@dataclass(frozen=True, eq=False)
class _Circle:
    """A drawn circle: the images that it refers to, which are among those of its object, its units and its numbers."""

    images: Sequence[Any]
    among: Sequence[Any]
    units: str
    data: Sequence[Any]

    def shows(self, uid: str, frame: int | None) -> bool:
        return _refers(self.images, uid, frame) and _refers(self.among, uid, frame)


def _circles(mark: Dataset) -> Iterator[_Circle]:
    """Yield the circles that people drew; a report of this package repeats one. Use it inside :func:`silent`."""
    if own_result(mark) is not None:
        return iter(())
    return (_of_report if text(mark, "SOPClassUID").startswith(REPORTS) else _of_presentation_state)(mark)


def _of_presentation_state(mark: Dataset) -> Iterator[_Circle]:
    series = value(mark, "ReferencedSeriesSequence") or ()
    among = [image for each in series for image in value(each, "ReferencedImageSequence") or ()]
    for annotation in value(mark, "GraphicAnnotationSequence") or ():
        own = value(annotation, "ReferencedImageSequence")
        for graphic in value(annotation, "GraphicObjectSequence") or ():
            if text(graphic, "GraphicType") == "CIRCLE":
                units = text(graphic, "GraphicAnnotationUnits")
                yield _Circle(among if own is None else own, among, units, value(graphic, "GraphicData") or ())


def _of_report(mark: Dataset) -> Iterator[_Circle]:
    """Yield the circles of a content tree that are selected from an image (PS3.3 C.18.6, C.17.3.2.4)."""
    pending, visited = [(mark, 0)], 0
    while pending:
        item, depth = pending.pop()
        visited += 1
        below = value(item, "ContentSequence") or ()
        if depth > MOST_DEPTH or visited > MOST_ELEMENTS:
            return
        pending += [(each, depth + 1) for each in reversed(below)]
        if text(item, "ValueType") == "SCOORD" and text(item, "GraphicType") == "CIRCLE":
            images = [image for each in below for image in value(each, "ReferencedSOPSequence") or ()]
            yield _Circle(images, images, _PIXEL, value(item, "GraphicData") or ())


def _refers(references: Iterable[Any], uid: str, frame: int | None) -> bool:
    """Return whether one of the references (PS3.3 table 10-3) is to this image and frame."""
    for each in references:
        if text(each, "ReferencedSOPInstanceUID") != uid:
            continue
        numbers = value(each, "ReferencedFrameNumber")
        if numbers is None or frame is None:
            return True
        if frame in [int(one) for one in (numbers if hasattr(numbers, "__iter__") else (numbers,))]:
            return True
    return False
