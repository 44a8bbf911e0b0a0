"""Marked regions: with the mouse, with keys, in numbers; and the geometry against edge_runtime's own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from edge_runtime.images.region import Region, RegionCrop
from tests.integration.serving.page.canned import CROP, CannedService
from tests.integration.serving.page.conftest import PHANTOM

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("x", "y", "radius")


@pytest.fixture
def marking(page: Page) -> Iterator[Page]:
    page.get_by_label("Choose the model").select_option("phantom-region")
    page.locator("#card-open:enabled").wait_for()
    page.set_input_files("#files", PHANTOM)
    page.get_by_role("application").wait_for()
    yield page


def numbers(page: Page) -> tuple[float, ...]:
    return tuple(float(page.locator(f"#region-{name}").input_value()) for name in NAMES)


def test_nothing_is_sent_before_a_region_is_marked(marking: Page, service: CannedService) -> None:
    expect(marking.locator("#result")).to_contain_text("Mark the region")
    expect(marking.get_by_role("button", name="Get decision")).to_be_disabled()
    assert not service.requests


def test_a_drag_marks_from_the_middle_outwards(marking: Page, service: CannedService) -> None:
    box = marking.get_by_role("application").bounding_box()
    assert box is not None
    pixel = box["width"] / 50
    x, y = box["x"] + 20.5 * pixel, box["y"] + 30.5 * pixel  # the centre of the pixel 20, 30
    marking.mouse.move(x, y)
    marking.mouse.down()
    marking.mouse.move(x + 8 * pixel, y, steps=3)
    marking.mouse.up()
    assert numbers(marking) == (20, 30, 8)
    marking.mouse.move(x, y)  # inside: moves it
    marking.mouse.down()
    marking.mouse.move(x + 5 * pixel, y - 4 * pixel, steps=3)
    marking.mouse.up()
    assert numbers(marking) == (25, 26, 8)
    marking.mouse.move(x + 13 * pixel, y - 4 * pixel)  # on the line: changes the radius
    marking.mouse.down()
    marking.mouse.move(x + 9 * pixel, y - 4 * pixel, steps=3)
    marking.mouse.up()
    assert numbers(marking) == (25, 26, 4)
    marking.get_by_role("button", name="Get decision").click()
    expect(marking.locator("#result .plate")).to_have_text("NEGATIVE")
    assert service.requests[0].query["region"] == "25,26,4"


def test_the_keyboard_alone_marks_and_asks(marking: Page, service: CannedService) -> None:
    marker = marking.get_by_role("application")
    marker.focus()
    marking.keyboard.press("ArrowRight")  # places it in the middle
    assert numbers(marking) == (25, 25, 6)
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "+", "+", "-", "Shift+ArrowLeft"):
        marking.keyboard.press(key)
    assert numbers(marking) == (25, 27, 7)
    expect(marking.get_by_role("status")).to_have_text("Region x 25, y 27, radius 7 px.")
    marking.keyboard.press("Enter")
    expect(marking.locator("#result .plate")).to_have_text("NEGATIVE")
    assert service.requests[0].query["region"] == "25,27,7"
    marking.keyboard.press("ArrowUp")
    expect(marking.locator(".region-form .attention")).to_contain_text("The result is for the earlier one")
    marking.keyboard.press("Escape")
    expect(marking.get_by_role("button", name="Get decision")).to_be_disabled()


def test_a_region_in_numbers_may_have_decimals(marking: Page, service: CannedService) -> None:
    for name, value in zip(NAMES, ("10.5", "20.25", "6.5"), strict=True):
        marking.locator(f"#region-{name}").fill(value)
    marking.locator("#region-radius").press("Enter")
    expect(marking.locator("#result .plate")).to_have_text("NEGATIVE")
    assert service.requests[0].query["region"] == "10.5,20.25,6.5"


def test_a_region_stays_inside_the_image(marking: Page) -> None:
    marking.get_by_role("application").focus()
    marking.keyboard.press("ArrowLeft")
    for _ in range(60):
        marking.keyboard.press("ArrowLeft")
        marking.keyboard.press("-")
    assert numbers(marking) == (0, 25, 1)


def test_the_drawn_square_is_the_one_that_the_network_sees(page: Page) -> None:
    draw = random.Random(3)
    crop = RegionCrop(CROP["margin"], CROP["least_half_px"])  # type: ignore[arg-type]
    regions = [Region(draw.randrange(100), draw.randrange(100) / 2, draw.randrange(1, 80) / 2) for _ in range(500)]
    given = {"regions": [region.to_dict() for region in regions], "crop": CROP}
    code = """async ({regions, crop}) => {
      const {square} = await import("/page/script/region.js");
      return regions.map((region) => square(region, crop)).map(({left, top, side}) => [left, top, side]);
    }"""
    assert page.evaluate(code, given) == [list(crop.square(region)) for region in regions]


def test_an_image_can_be_used_again_with_another_model(page: Page, service: CannedService) -> None:
    page.set_input_files("#files", PHANTOM)
    expect(page.locator("#result .plate")).to_have_text("NEGATIVE")
    page.get_by_label("Choose the model").select_option("phantom-region")
    page.get_by_role("button", name="Use this image with phantom-region").click()
    expect(page.locator(".history tbody .chip")).to_have_text(["NEGATIVE", "Region needed"])
    assert len(service.requests) == 1
