"""Images in, decisions out: what the page sends and what it shows."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.integration.serving.page.canned import PIXEL, UNFAMILIAR, CannedService, Reply, answer
from tests.integration.serving.page.conftest import PHANTOM, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Page

Named = Callable[[str], Path]
BRING = """({kind, bytes, name}) => {
  const file = new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, {type: "image/png"});
  const data = new DataTransfer();
  data.items.add(file);
  const event = kind === "paste"
    ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
    : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
  document.body.dispatchEvent(event);
}"""


def test_a_chosen_image_is_sent_as_bytes_without_its_name(page: Page, service: CannedService, phantom: Named) -> None:
    page.set_input_files("#files", phantom("Doe Jane.png"))
    expect(page.locator("#result .plate")).to_have_text("NEGATIVE")
    (request,) = service.requests
    assert request.body == PHANTOM.read_bytes()
    assert request.query == {"model": "phantom-patch", "heatmap": "1"}
    assert "Doe" not in str(request.headers)


def test_decision_reason_scales_and_site_are_shown(page: Page) -> None:
    page.set_input_files("#files", PHANTOM)
    result = page.locator("#result")
    expect(result).to_contain_text("The score stays below the cut-off.")
    expect(result.get_by_role("img", name="Score 0.123 on a scale from 0 to 1; the cut-off is 0.414")).to_be_visible()
    expect(
        result.get_by_role("img", name="Confidence 0.877 on a scale from 0 to 1; the floor is 0.600")
    ).to_be_visible()
    expect(result.get_by_role("img", name="Distance 0.42 times the limit")).to_be_visible()
    expect(result).to_contain_text("Site: uncalibrated")
    expect(page.get_by_role("status")).to_have_text("phantom.png: NEGATIVE. The score stays below the cut-off.")


def test_a_scale_is_drawn_to_scale(page: Page) -> None:
    page.set_input_files("#files", PHANTOM)
    scale = page.locator("#result .scale").first
    line, fill = scale.locator(".scale-line").bounding_box(), scale.locator(".scale-fill").bounding_box()
    limit = scale.locator(".scale-limit").bounding_box()
    assert line and fill and limit
    assert fill["width"] / line["width"] == pytest.approx(0.123, abs=0.005)
    middle = limit["x"] + limit["width"] / 2 - line["x"]
    assert middle / line["width"] == pytest.approx(0.414, abs=0.005)


def test_an_unfamiliar_image_has_no_scores(page: Page, service: CannedService) -> None:
    service.replies = [Reply(answer(**UNFAMILIAR))]
    page.set_input_files("#files", PHANTOM)
    result = page.locator("#result")
    expect(result.locator(".plate")).to_have_text("REFER")
    expect(result).to_contain_text("not like those that this model was made for")
    expect(result).not_to_contain_text("0.123")
    expect(result.get_by_role("img", name="Distance 3.50 times the limit")).to_be_visible()
    expect(page.locator(".history tbody .cell-score")).to_have_text("–")


def test_several_images_are_sent_one_after_the_other_and_can_be_visited(
    page: Page, service: CannedService, phantom: Named
) -> None:
    positive = answer(decision="POSITIVE", reason="ABOVE_CUTOFF", score=0.9, label="malignant", confidence=0.9)
    service.replies = [Reply(answer()), Reply(positive, wait_s=0.2), Reply(answer())]
    page.set_input_files("#files", [phantom("a.png"), phantom("b.png"), phantom("c.png")])
    rows = page.locator(".history tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.locator(".chip")).to_have_text(["NEGATIVE", "POSITIVE", "NEGATIVE"])
    expect(page.locator("#position")).to_have_text("1 of 3")
    page.get_by_role("button", name="Next image").click()
    expect(page.locator("#result .plate")).to_have_text("POSITIVE")
    page.get_by_role("button", name="c.png", exact=True).click()
    expect(page.locator("#position")).to_have_text("3 of 3")
    page.get_by_role("button", name="Remove c.png").click()
    expect(rows).to_have_count(2)
    expect(page.get_by_role("button", name="b.png", exact=True)).to_be_focused()
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Remove all").click()
    expect(rows).to_have_count(0)


@pytest.mark.parametrize(("kind", "name", "shown"), [("drop", "d.png", "d.png"), ("paste", "", "clipboard-1.png")])
def test_images_can_be_dropped_and_pasted(page: Page, service: CannedService, kind: str, name: str, shown: str) -> None:
    data = base64.b64encode(PHANTOM.read_bytes()).decode()
    page.evaluate(BRING, {"kind": kind, "bytes": data, "name": name})
    expect(page.locator("#result .plate")).to_have_text("NEGATIVE")
    expect(page.get_by_role("button", name=shown, exact=True)).to_be_visible()
    assert service.requests[0].body == PHANTOM.read_bytes()


def test_a_heatmap_lies_over_the_image_as_strong_as_the_slider_says(
    opened: Opened, service: CannedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = service.manifest("phantom-patch")
    plain["saliency"] = {"method": "grad-cam", "why": "", "layer": "x", "grid": [2, 2, 2]}
    monkeypatch.setattr(service, "manifest", lambda _: plain)
    heatmap = {"media_type": "image/png", "data": PIXEL, "method": "grad-cam"}
    service.replies = [Reply(answer(heatmap=heatmap))]
    with opened(service.url) as page:
        page.locator("#card-open:enabled").wait_for()
        page.set_input_files("#files", PHANTOM)
        overlay = page.get_by_role("img", name="Heatmap over the image")
        expect(overlay).to_have_css("opacity", "0.5")
        assert overlay.bounding_box() == page.get_by_role("img", name="Image phantom.png").bounding_box()
        page.get_by_label("Heatmap opacity").fill("80")
        expect(overlay).to_have_css("opacity", "0.8")
        assert service.requests[0].query["heatmap"] == "1"
        page.get_by_label("Compute a heatmap for each image").uncheck()
        page.set_input_files("#files", PHANTOM)
        expect(page.locator(".history tbody .chip")).to_have_text(["NEGATIVE", "NEGATIVE"])
        assert "heatmap" not in service.requests[1].query


def test_a_pgm_file_is_shown_although_no_browser_reads_it(page: Page, tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5\n# made up\n3 2\n255\n" + bytes([0, 50, 100, 150, 200, 250]))
    page.set_input_files("#files", tmp_path / "a.pgm")
    expect(page.locator(".image-name")).to_have_text("a.pgm3 × 2 px")


def test_a_file_name_is_shown_as_text_in_one_line(page: Page, phantom: Named) -> None:
    page.set_input_files("#files", phantom("<img src=x onerror=alert(1)>\u202egnp.png"))
    expect(page.locator(".row-open")).to_have_text("<img src=x onerror=alert(1)>\\u{202e}gnp.png")


def test_model_card_and_figures_are_those_of_the_bundle(page: Page, service: CannedService) -> None:
    evaluation = next(each for each in service.manifest("phantom-patch")["evaluations"] if each["part"] == "test")
    auroc = next(each for each in evaluation["figures"] if each["name"] == "auroc")
    expect(page.locator("#figures").get_by_role("row", name="AUROC")).to_contain_text(f"{auroc['value']:.3f}")
    expect(page.locator("#figures caption")).to_contain_text(f"{evaluation['images']} images")
    page.get_by_role("button", name="Model card").click()
    card = page.get_by_role("dialog")
    expect(card.get_by_role("heading", name="phantom-patch 1.0.0")).to_be_visible()
    assert card.locator("table").count() > 1
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()


def test_not_for_diagnosis_stays_in_view(page: Page, phantom: Named) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.set_input_files("#files", phantom("a.png"))
    page.locator("#figures").scroll_into_view_if_needed()
    expect(page.locator("#notice")).to_be_in_viewport()
    expect(page.locator("#notice")).to_contain_text("Not for diagnosis")
