"""The tissue region of an ultrasound frame: modes other than grey 2D, and colours inside, are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.pixels import image_of
from edge_runtime.dicom.ultrasound import has_flow
from edge_runtime.errors import DicomError
from tests.dicom_objects import file_of, image, meant, ultrasound, with_region
from tests.dicom_specs import SOUND

GREY = meant(120, 150)
THREE = np.stack([GREY] * 3, -1)


def code(dataset: Any) -> str:
    try:
        image_of(read_dataset(file_of(dataset)), SOUND)
    except DicomError as error:
        return error.code
    return "read"


@pytest.mark.parametrize(
    "elements, expected",
    [
        ({"UltrasoundColorDataPresent": 0}, "read"),
        ({"UltrasoundColorDataPresent": 1}, "dicom_region_kind"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "SMALL PARTS", "0001"]}, "read"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "SMALL PARTS", "0011"]}, "dicom_region_kind"),  # colour Doppler
        ({"ImageType": ["ORIGINAL", "PRIMARY", "SMALL PARTS", "0040"]}, "dicom_region_kind"),  # 3D
        ({"ImageType": ["ORIGINAL", "PRIMARY", "SMALL PARTS", "ABC"]}, "read"),
        ({"ImageType": "ORIGINAL"}, "read"),
    ],
)
def test_an_image_of_another_mode_is_refused(elements: dict[str, Any], expected: str) -> None:
    assert code(ultrasound(GREY, **elements)) == expected


def test_a_colour_box_in_the_region_is_refused_although_no_element_names_it() -> None:
    flow = THREE.copy()
    flow[40:60, 50:90] = (180, 20, 10)
    assert code(ultrasound(flow)) == "dicom_region_kind"
    assert code(ultrasound(THREE)) == "read"
    outside = with_region(image(flow), 0, 70, 149, 119)
    assert code(outside) == "read"


def test_callipers_and_tinted_tissue_are_no_colour_box() -> None:
    marked = THREE.copy()
    marked[40:46, 10:140] = marked[10:110, 70:76] = (255, 255, 0)
    tinted = np.clip(THREE.astype(int) + np.array([-20, 0, 30]), 0, 255).astype(np.uint8)
    assert not has_flow(marked) and not has_flow(tinted) and not has_flow(GREY)
    marked[40:47, 10:17] = (255, 255, 0)
    assert has_flow(marked)


@pytest.mark.parametrize("deltas, expected", [((0.01, 0.01), "read"), ((0.01, 0.02), "dicom_spacing_wrong")])
def test_a_region_that_is_not_square_is_refused_although_the_model_needs_no_spacing(
    deltas: tuple[float, float], expected: str
) -> None:
    across, down = deltas
    units = {"PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
    assert (
        code(with_region(image(GREY), 0, 0, 149, 119, PhysicalDeltaX=across, PhysicalDeltaY=down, **units)) == expected
    )
