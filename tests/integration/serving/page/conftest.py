"""A browser, a canned service and the page in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import chromium
from tests.integration.serving.page.canned import CannedService
from tests.places import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHANTOM = ROOT / "docs" / "phantom.png"
Opened = Callable[..., "AbstractContextManager[Page]"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.browser() as started:
        yield started


@pytest.fixture
def service() -> Iterator[CannedService]:
    canned = CannedService()
    yield canned
    canned.stop()


@pytest.fixture
def opened(browser: Browser) -> Opened:
    """Open the page of an address, ready for images; no error of a script may be left at its end."""

    @contextmanager
    def open_page(url: str, **options: Any) -> Iterator[Page]:
        context = browser.new_context(locale=options.pop("locale", "en-GB"), **options)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(url)
        yield page
        context.close()
        assert not errors

    return open_page


@pytest.fixture
def page(opened: Opened, service: CannedService) -> Iterator[Page]:
    with opened(service.url) as ready:
        ready.locator("#card-open:enabled").wait_for()
        yield ready


@pytest.fixture
def phantom(tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of the phantom image with a name."""

    def named(name: str) -> Path:
        (tmp_path / name).write_bytes(PHANTOM.read_bytes())
        return tmp_path / name

    return named
