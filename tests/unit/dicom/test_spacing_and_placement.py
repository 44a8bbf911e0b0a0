"""Pixel spacing, images scaled to a model's, and places in stored pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.pixels import image_of
from edge_runtime.dicom.placement import Placement
from edge_runtime.dicom.spacing import at_spacing, reduced, spacing_of
from edge_runtime.errors import DicomError
from edge_runtime.images.region import Region
from tests.dicom_objects import MAMMOGRAM, file_of, image, meant
from tests.dicom_specs import ANYTHING, X_RAY


def read(stored: np.ndarray[Any, Any], **elements: Any) -> Any:
    return read_dataset(file_of(image(stored, MAMMOGRAM, **elements)))


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_a_reduction_by_a_whole_number_is_the_mean_of_blocks(factor: int) -> None:
    pixels = meant(30 * factor, 41 * factor)
    blocks = pixels.reshape(30, factor, 41, factor).sum(axis=(1, 3), dtype=int)
    assert np.array_equal(reduced(pixels, 30, 41), (2 * blocks + factor**2) // (2 * factor**2))


@pytest.mark.parametrize("size", [(70, 91), (119, 159), (33, 160), (120, 160), (131, 170)])
def test_any_reduction_is_the_mean_of_areas(size: tuple[int, int]) -> None:
    """Against OpenCV's INTER_AREA, which computes in float32; only reductions, as it enlarges otherwise."""
    pixels = meant()
    found = reduced(pixels, *size)
    colour = reduced(np.stack([pixels, 255 - pixels, pixels], -1), *size)
    assert np.array_equal(colour[..., 0], found) and np.array_equal(colour[..., 2], found)
    if size[0] <= 120 and size[1] <= 160:
        area = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(found.astype(int) - area).max() <= 1


def test_an_enlarged_image_comes_back_as_it_was() -> None:
    pixels = meant()
    twice = np.repeat(np.repeat(pixels, 2, 0), 2, 1)
    assert np.array_equal(at_spacing(twice, 0.1, 0.2, "x"), pixels)
    assert at_spacing(pixels, 0.2001, 0.2, "x") is pixels


@pytest.mark.parametrize(
    "elements, wanted",
    [
        ({"PixelSpacing": [0.1, 0.1]}, 0.1),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.15, 0.15]}, 0.1),
        ({"ImagerPixelSpacing": [0.07, 0.07]}, 0.07),
        ({"ImagerPixelSpacing": [0.09, 0.09], "EstimatedRadiographicMagnificationFactor": 1.5}, 0.06),
        (
            {
                "PixelSpacing": [0.09, 0.09],
                "ImagerPixelSpacing": [0.09, 0.09],
                "EstimatedRadiographicMagnificationFactor": 1.5,
            },
            0.06,
        ),
        (
            {
                "PixelSpacing": [0.06, 0.06],
                "ImagerPixelSpacing": [0.09, 0.09],
                "EstimatedRadiographicMagnificationFactor": 1.5,
            },
            0.06,
        ),
    ],
)
def test_the_spacing_of_an_object(elements: dict[str, Any], wanted: float) -> None:
    assert spacing_of(read(meant(), **elements), None, "x") == pytest.approx(wanted)
    assert spacing_of(read(meant(), **elements), (0.3, 0.3), "x") == pytest.approx(0.3)


@pytest.mark.parametrize(
    "elements, code",
    [
        ({}, "dicom_spacing_missing"),
        ({"PixelSpacing": [0.1, 0.2]}, "dicom_spacing_wrong"),
        ({"PixelSpacing": [0.0, 0.0]}, "dicom_spacing_wrong"),
        ({"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 0.2}, "dicom_spacing_wrong"),
        ({"PixelSpacing": [0.3, 0.3]}, "dicom_spacing_wrong"),
    ],
)
def test_spacings_that_cannot_be_used(elements: dict[str, Any], code: str) -> None:
    with pytest.raises(DicomError) as caught:
        image_of(read(meant(), **elements), X_RAY)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "elements", [{"PixelSpacing": [0.1, 0.2]}, {"ImagerPixelSpacing": [0.2, 0.1]}, {"PixelAspectRatio": [2, 1]}]
)
def test_pixels_that_are_not_square_are_refused_for_every_model(elements: dict[str, Any]) -> None:
    with pytest.raises(DicomError) as caught:
        image_of(read(meant(), **elements), ANYTHING)
    assert caught.value.code == "dicom_spacing_wrong"


def test_a_place_goes_there_and_back() -> None:
    place = Placement(left=100, top=60, width=400, height=300, image_width=200, image_height=150)
    inside = place.to_image(Region(299.5, 209.5, 40))
    assert (inside.x, inside.y, inside.radius) == (99.5, 74.5, 20)
    assert place.to_stored(inside.x, inside.y) == (299.5, 209.5)
    assert place.to_stored(-0.5, -0.5) == (99.5, 59.5)  # the corner of the first pixel


def test_a_map_lies_where_its_image_lay() -> None:
    place = Placement(left=10, top=20, width=40, height=30, image_width=20, image_height=15)
    values = np.zeros((15, 20), np.float32)
    values[7, 9], values[0] = 1.0, np.nan
    whole = place.on_stored(values, 100, 80)
    assert whole.shape == (100, 80)
    assert np.isnan(whole[:20]).all() and np.isnan(whole[:, :10]).all() and np.isnan(whole[20:22, 10:50]).all()
    assert np.unravel_index(np.nanargmax(whole), whole.shape) in ((34, 28), (34, 29), (35, 28), (35, 29))


def test_an_image_at_another_spacing_has_its_place() -> None:
    twice = np.repeat(np.repeat(meant(), 2, 0), 2, 1)
    found = image_of(read(twice, ImagerPixelSpacing=[0.1, 0.1]), X_RAY)
    assert np.array_equal(found.pixels, meant())
    assert found.placement == Placement(0, 0, 320, 240, 160, 120)
    assert found.inside(Region(100.5, 80.5, 30)) == Region(50.0, 40.0, 15)
