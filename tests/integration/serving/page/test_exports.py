"""The history as CSV and as a printed report."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from edge_runtime.cli.render import _COLUMNS
from edge_runtime.platform.escaped_names import shown_cell
from tests.integration.serving.page.canned import ANSWER, UNFAMILIAR, CannedService, Reply, answer, error

if TYPE_CHECKING:
    from playwright.sync_api import Page

Named = Callable[[str], Path]


def three_images(page: Page, service: CannedService, phantom: Named) -> None:
    service.replies = [
        Reply(answer()),
        Reply(error("image_truncated", 'ends at "7", early'), 422),
        Reply(answer(**UNFAMILIAR)),
    ]
    page.set_input_files("#files", [phantom("=a;+b.png"), phantom('a, "b".png'), phantom("c.png")])
    expect(page.locator(".history tbody .chip")).to_have_text(["NEGATIVE", "Image refused", "REFER"])


def test_the_csv_has_the_columns_and_the_cells_of_the_command(
    page: Page, service: CannedService, phantom: Named, tmp_path: Path
) -> None:
    three_images(page, service, phantom)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    download.value.save_as(tmp_path / "saved.csv")
    with open(tmp_path / "saved.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(_COLUMNS) <= set(rows[0])
    answered, refused, unfamiliar = rows
    assert answered["image"] == "'=a;'+b.png"
    assert {name: answered[name] for name in ("score", "cutoff", "decision", "site", "sha256", "time")} == {
        name: str(ANSWER[name]) for name in ("score", "cutoff", "decision", "site", "sha256", "time")
    }
    assert (refused["image"], refused["error_code"]) == ('a, "b".png', "image_truncated")
    assert (refused["error_message"], refused["decision"]) == ('ends at "7", early', "")
    assert (unfamiliar["decision"], unfamiliar["score"], unfamiliar["label"]) == ("REFER", "", "")


@pytest.mark.parametrize(
    "name", ["=1+1", "a;=1", " '-x", "@x", "\uff1dx", "plain.png", "a\tb", "a\nb", "\u202ex", "é.png", "-5"]
)
def test_cells_are_guarded_as_the_command_guards_them(page: Page, name: str) -> None:
    code = 'async (name) => (await import("/page/script/csv.js")).cell(name)'
    ours = page.evaluate(code, name)
    theirs = shown_cell(name)
    # how an invisible character is written differs, and nothing else
    assert ours.partition("\\")[0].strip('"') == theirs.partition("\\")[0]


def test_the_report_is_all_that_is_printed(page: Page, service: CannedService, phantom: Named) -> None:
    three_images(page, service, phantom)
    page.evaluate("void (window.print = () => { window.printed = (window.printed ?? 0) + 1; })")
    page.get_by_role("button", name="Print report").click()
    report = page.locator("#report")
    expect(report.locator("article")).to_have_count(3)
    page.emulate_media(media="print")
    expect(report).to_be_visible()
    expect(page.locator("main")).to_be_hidden()
    expect(report).to_contain_text("Not for diagnosis")
    expect(report).to_contain_text("The file ends early.")
    expect(report.locator(".scale").first).to_be_visible()
    assert report.locator("img").first.evaluate("(image) => image.complete && image.naturalWidth") == 50
    assert page.evaluate("window.printed") == 1
    assert page.pdf().startswith(b"%PDF")
