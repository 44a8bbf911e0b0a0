"""A map's cells lie where the network saw them: on the image, in the image's own geometry."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.saliency import Method
from edge_runtime.decision.verdict import Decision, Reason, Verdict
from edge_runtime.explain.explanation import Explanation, Floats, spread_share, stretched
from edge_runtime.explain.overlay import draw, heatmap_png
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.prediction import Prediction, Timing

VERDICT = Verdict("yes", {"no": 0.2, "yes": 0.8}, 0.8, 0.8, Decision.POSITIVE, Reason.ABOVE_CUTOFF)
OTHER = Verdict("no", {"no": 0.6, "yes": 0.4}, 0.4, 0.6, Decision.NEGATIVE, Reason.BELOW_CUTOFF)


def explanation(
    grid: Floats, box: tuple[int, int, int, int], size: tuple[int, int], exact: Verdict = VERDICT
) -> Explanation:
    prediction = Prediction("p.png", "m", "1.0.0", VERDICT, 0.5, 0.0, "c" * 64, "litert", "int8", Timing(0.0, 0.0, 0.0))
    pixels = np.full((size[1], size[0]), 90, np.uint8)
    image = DecodedImage("p.png", pixels, ColourOrder.GREY)
    return Explanation(prediction, exact, Method.GRAD_CAM, "yes", "conv", grid, box, image)


def hot(rows: int, columns: int, row: int, column: int) -> Floats:
    grid = np.zeros((rows, columns), np.float32)
    grid[row, column] = 7.0
    return grid


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 2), (3, 4), (2, 0)])
def test_a_cells_centre_is_where_its_docstring_says(row: int, column: int) -> None:
    # 4×5 cells of 21 px each, whose centres are pixels
    found = explanation(hot(4, 5, row, column), (0, 0, 105, 84), (105, 84)).on_picture()
    x, y = (column + 0.5) * 105 / 5 - 0.5, (row + 0.5) * 84 / 4 - 0.5
    assert found[int(y), int(x)] == 1.0
    beside = [(r, c) for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))]
    for r, c in beside:
        if 0 <= r < 4 and 0 <= c < 5:
            assert found[21 * r + 10, 21 * c + 10] == 0.0


def test_what_lies_outside_a_regions_square_is_no_number_and_the_rest_is_cut_at_the_edge() -> None:
    # a square of 40 px whose upper left quarter lies outside the image
    grid = np.arange(16, dtype=np.float32).reshape(4, 4)
    found = explanation(grid, (-20, -20, 20, 20), (50, 30)).on_picture()
    assert found.shape == (30, 50)
    assert np.isnan(found[20:]).all()
    assert np.isnan(found[:, 20:]).all()
    assert np.array_equal(found[:20, :20], stretched(grid, 40, 40)[20:, 20:])


def test_the_peak_is_the_largest_pixel_and_a_blank_map_has_none() -> None:
    found = explanation(hot(4, 4, 2, 1), (10, 6, 50, 46), (60, 60))
    whole = found.on_picture()
    assert whole[found.peak()[::-1]] == np.nanmax(whole) > 0.9  # type: ignore[index]
    blank = explanation(np.zeros((4, 4), np.float32), (0, 0, 60, 60), (60, 60))
    assert blank.blank
    assert blank.peak() is None
    assert not blank.on_picture().any()


def test_another_answer_of_the_float32_file_is_said() -> None:
    grid = hot(2, 2, 0, 0)
    same, other = (explanation(grid, (0, 0, 8, 8), (8, 8), exact) for exact in (VERDICT, OTHER))
    assert same.agrees
    assert same.note() == ""
    assert not other.agrees
    assert "no (NEGATIVE" in other.note()


def test_json_holds_the_map_as_a_grey_png_of_the_images_size() -> None:
    found = explanation(hot(3, 3, 1, 1), (4, 0, 34, 30), (40, 30))
    heatmap = found.to_dict()["heatmap"]
    assert isinstance(heatmap, dict)
    grey = cv2.imdecode(np.frombuffer(base64.b64decode(heatmap["png"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert grey.shape == (30, 40)
    assert np.array_equal(grey, np.rint(np.nan_to_num(found.on_picture()) * 255))
    assert heatmap["peak"] == {"x": found.peak()[0], "y": found.peak()[1]}  # type: ignore[index]


def test_differences_are_shares_of_the_expected_range() -> None:
    expected = np.array([[0.0, 2.0]], np.float32)
    assert spread_share(np.array([[0.5, 2.0]], np.float32), expected) == 0.25
    assert spread_share(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32)) == 0.0
    assert spread_share(expected, np.zeros((1, 2), np.float32)) == float("inf")


@pytest.mark.parametrize("opacity", [0.0, 0.45, 1.0])
def test_a_drawing_is_the_image_under_the_map_and_the_image_alone_outside(opacity: float) -> None:
    found = explanation(hot(4, 4, 1, 1), (0, 0, 450, 450), (900, 450))
    drawn = draw(found, opacity=opacity)
    margin = 16
    assert (drawn[margin + 5, margin + 800] == 90).all()  # not seen by the network
    inside = drawn[margin + 300, margin + 100].astype(int)
    assert (inside == 90).all() == (opacity == 0.0)
    assert cv2.imdecode(np.frombuffer(heatmap_png(found), np.uint8), cv2.IMREAD_COLOR).shape[2] == 3


def test_small_images_grow_by_a_whole_factor() -> None:
    small = draw(explanation(hot(2, 2, 0, 0), (0, 0, 50, 50), (50, 50)))
    assert small.shape[1] >= 900
