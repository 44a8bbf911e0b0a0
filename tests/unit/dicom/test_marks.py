"""Circles of presentation states and reports."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from edge_runtime.dicom.marks import marked_regions, one_region
from edge_runtime.errors import DicomError
from edge_runtime.images.region import Region
from tests.dicom_objects import ROOT, presentation_state, report

UID = f"{ROOT}.3"


def found(*marks: Dataset, frame: int | None = None) -> tuple[Region, ...]:
    return marked_regions(marks, UID, frame, "x")


@pytest.mark.parametrize("make", [presentation_state, report])
def test_a_circle_loses_half_a_pixel(make: Any) -> None:
    """The corner of the upper left pixel is 0\\0 in both; ours is its centre."""
    assert found(make([50.5, 40.5, 50.5, 60.5])) == (Region(50, 40, 20),)
    assert found(make([50, 40, 53, 44])) == (Region(49.5, 39.5, 5),)


@pytest.mark.parametrize("make", [presentation_state, report])
def test_only_circles_of_this_image_and_frame_count(make: Any) -> None:
    assert found(make([50, 40, 53, 44], uid="1.2.3")) == ()
    assert found(make([50, 40, 53, 44], frames=[2, 3]), frame=1) == ()
    assert found(make([50, 40, 53, 44], frames=[2, 3]), frame=3) == (Region(49.5, 39.5, 5),)
    assert found(make([50, 40, 53, 44], kind="POLYLINE")) == ()
    assert found(make([50, 40, 53, 44]), make([50, 40, 53, 44])) == (Region(49.5, 39.5, 5),)


def test_an_annotation_may_be_of_some_images_alone() -> None:
    mark = presentation_state([50, 40, 53, 44])
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2", "1.2.3"
    mark.GraphicAnnotationSequence[0].ReferencedImageSequence = [reference]
    assert found(mark) == ()


@pytest.mark.parametrize("make", [presentation_state, report])
@pytest.mark.parametrize("data", [[50, 40], [50, 40, 50, 40], [50, 40, 1, 2, 3]])
def test_circles_without_two_points_are_refused(make: Any, data: list[float]) -> None:
    with pytest.raises(DicomError) as caught:
        found(make(data))
    assert caught.value.code == "dicom_mark_kind"


def test_units_of_the_display_are_refused() -> None:
    with pytest.raises(DicomError) as caught:
        found(presentation_state([0.5, 0.5, 0.6, 0.5], units="DISPLAY"))
    assert caught.value.code == "dicom_mark_kind"


def test_one_region_is_needed() -> None:
    circles = found(report([50, 40, 53, 44]), presentation_state([50, 40, 53, 45]))
    assert len(circles) == 2
    for given, code in ((circles, "dicom_marks_several"), ((), "dicom_mark_missing")):
        with pytest.raises(DicomError) as caught:
            one_region(given, "x")
        assert caught.value.code == code
    assert one_region(circles[:1], "x") == circles[0]


def test_a_deep_report_is_walked_without_recursion() -> None:
    mark = report([50, 40, 53, 44])
    for _ in range(200):
        outer = Dataset()
        outer.ValueType, outer.ContentSequence = "CONTAINER", list(mark.ContentSequence)
        mark.ContentSequence = [outer]
    assert found(mark) == ()
