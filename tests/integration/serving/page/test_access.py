"""For everybody, from everywhere: axe, narrow and wide, light and dark, two languages, no request elsewhere."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.integration.serving.page.canned import PIXEL, UNFAMILIAR, CannedService, Reply, answer, error
from tests.integration.serving.page.conftest import PHANTOM, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTHS = (360, 1280, 3840)


def violations(page: Page) -> list[str]:
    """Run axe-core with all of its rules; return what it finds, with the elements."""
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in found]


def fill(page: Page, service: CannedService) -> None:
    """Bring the page into its fullest state: an answer with all parts, a refusal, an unfamiliar image, a region."""
    heatmap = {"media_type": "image/png", "data": PIXEL, "method": "grad-cam"}
    service.replies = [
        Reply(answer(heatmap=heatmap)),
        Reply(error("image_truncated", "early"), 422),
        Reply(answer(**UNFAMILIAR)),
    ]
    page.locator("#card-open:enabled").wait_for()
    page.set_input_files("#files", [PHANTOM, PHANTOM, PHANTOM])
    expect(page.locator(".history tbody .chip:not(.chip-open)")).to_have_count(3)


@pytest.fixture(scope="module")
def axe() -> str:
    pytest.importorskip("axe_playwright_python")
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_no_violation(opened: Opened, service: CannedService, axe: str, width: int, scheme: str) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "bypass_csp": True}
    with opened(service.url, **options) as page:
        page.locator("#card-open:enabled").wait_for()  # the words and the models are there
        page.evaluate(axe)
        assert not violations(page)
        fill(page, service)
        for _ in range(3):
            page.locator("#result .details").evaluate("(details) => { details.open = true; }")
            assert not violations(page)
            if page.locator("#next").is_enabled():
                page.locator("#next").click()
        page.get_by_label("Choose the model").select_option("phantom-region")
        page.get_by_role("button", name="Use this image").click()
        page.get_by_role("application").press("ArrowLeft")
        service.stop()
        page.get_by_role("button", name="Get decision").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert not violations(page)
        page.locator("#card-open:enabled").click()
        assert not violations(page)


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_nothing_is_cut_off_at_any_width(opened: Opened, service: CannedService, locale: str) -> None:
    over = """() => [document.documentElement, ...document.querySelectorAll(".panel")]
      .filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.className || node.tagName)"""
    with opened(service.url, locale=locale) as page:
        fill(page, service)
        for width in (320, 360, 600, 768, 959, 960, 1000, 1280, 1500, 1680, 1920, 2400, 3840):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(over) == [], width


def test_the_language_follows_the_browser_and_can_be_changed(opened: Opened, service: CannedService) -> None:
    with opened(service.url, locale="de-AT") as page:
        fill(page, service)
        expect(page.locator("html")).to_have_attribute("lang", "de")
        expect(page.locator("#result .plate")).to_have_text("NEGATIV")
        expect(page.locator("#result")).to_contain_text("0,123")
        expect(page.locator("#notice")).to_contain_text("Nicht zur Diagnose")
        page.get_by_label("Sprache").select_option("en")
        expect(page.locator("#result .plate")).to_have_text("NEGATIVE")
        expect(page.locator(".history tbody .chip")).to_have_text(["NEGATIVE", "Image refused", "REFER"])


def test_colours_follow_the_system_and_can_be_switched(opened: Opened, service: CannedService) -> None:
    with opened(service.url, color_scheme="dark") as page:
        switch = page.get_by_role("button", name="Dark colours")
        expect(switch).to_have_attribute("aria-pressed", "true")
        dark = page.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor")
        switch.click()
        expect(switch).to_have_attribute("aria-pressed", "false")
        assert page.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor") != dark


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(page: Page, service: CannedService) -> None:
    fill(page, service)
    page.locator("body").evaluate("() => document.activeElement.blur()")
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    wanted = ["skip", "language", "theme", "model", "card-open", "files"]
    assert [each for each in reached if each in wanted] == wanted
    assert reached.index("files") < reached.index("next") < reached.index("csv") < reached.index("row-open")


def test_no_request_leaves_the_service_and_nothing_is_stored(opened: Opened, service: CannedService) -> None:
    with opened("about:blank") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(service.url)
        fill(page, service)
        assert [url for url in asked if not url.startswith((service.url, "blob:", "data:"))] == []
        assert page.context.cookies() == []
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
