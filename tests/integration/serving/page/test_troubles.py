"""Refusals, errors, a lost connection, a token: in words, with the remedy, and without a lost image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.integration.serving.page.canned import CannedService, Reply, answer, error
from tests.integration.serving.page.conftest import PHANTOM, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_refused_image_has_its_cause_and_remedy(page: Page, service: CannedService) -> None:
    service.replies = [Reply(error("image_truncated", "bytes: found the end at byte 7."), 422)]
    page.set_input_files("#files", PHANTOM)
    result = page.locator("#result")
    expect(result.locator(".plate")).to_have_text("Image refused")
    expect(result).to_contain_text("The file ends early.")
    expect(result).to_contain_text("What to do: Copy or export it again.")
    result.get_by_text("Details").click()
    expect(result).to_contain_text("bytes: found the end at byte 7.")


def test_an_unknown_code_is_told_in_the_words_of_the_service(page: Page, service: CannedService) -> None:
    service.replies = [Reply(error("of_tomorrow", "Something new went wrong."), 500)]
    page.set_input_files("#files", PHANTOM)
    expect(page.locator("#result")).to_contain_text("Something new went wrong.")


def test_a_busy_service_says_when_to_try_again(page: Page, service: CannedService) -> None:
    service.replies = [Reply(error("machine_busy", "queue full"), 503, {"Retry-After": "7"}), Reply(answer())]
    page.set_input_files("#files", PHANTOM)
    expect(page.locator("#result")).to_contain_text("Try again in 7 s.")
    page.locator("#result").get_by_role("button", name="Try again").click()
    expect(page.locator("#result .plate")).to_have_text("NEGATIVE")


def test_an_answer_that_is_no_json_is_no_decision(page: Page, service: CannedService) -> None:
    service.replies = [Reply({}, 502)]
    page.set_input_files("#files", PHANTOM)
    expect(page.locator("#result")).to_contain_text("an answer that this page does not understand")


def test_a_lost_connection_is_shown_and_every_image_is_answered_after_it(page: Page, service: CannedService) -> None:
    service.stop()
    page.set_input_files("#files", [PHANTOM, PHANTOM])
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("No connection to the service.")
    expect(alert).to_contain_text("Images waiting: 2.")
    expect(page.locator(".history tbody .chip")).to_have_text(["Waiting", "Waiting"])
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_contain_text("Images waiting: 2.")
    service.start()
    alert.get_by_role("button", name="Try again").click()
    expect(page.locator(".history tbody .chip")).to_have_text(["NEGATIVE", "NEGATIVE"])
    expect(alert).to_be_hidden()


def test_waiting_for_an_answer_can_be_cancelled(page: Page, service: CannedService) -> None:
    service.replies = [Reply(answer(), wait_s=3.0)]
    page.set_input_files("#files", PHANTOM)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#result")).to_contain_text("Cancelled before there was an answer.")


def test_a_token_is_asked_for_and_sent_with_every_request(opened: Opened, service: CannedService) -> None:
    service.token = "a-token"
    with opened(service.url) as page:
        page.get_by_label("This service needs an access token.").fill("a-token")
        page.get_by_role("button", name="Use token").click()
        page.locator("#card-open:enabled").wait_for()
        expect(page.get_by_role("alert")).to_be_hidden()
        page.set_input_files("#files", PHANTOM)
        expect(page.locator("#result .plate")).to_have_text("NEGATIVE")
        assert service.requests[0].headers["Authorization"] == "Bearer a-token"
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
