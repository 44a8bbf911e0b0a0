"""The page on the real service: nothing is canned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.integration.serving.page.conftest import PHANTOM, Opened
from tests.phantom_bundle import CHECKED
from tests.serving import Served, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("real") / "log", str(CHECKED), "mias-region") as running:
        yield running


@pytest.fixture
def ready(opened: Opened, real: Served) -> Iterator[Page]:
    with opened(real.url) as page:
        page.locator("#card-open:enabled").wait_for()
        yield page


def test_an_image_is_answered_with_a_heatmap(ready: Page, real: Served) -> None:
    ready.set_input_files("#files", PHANTOM)
    decision = real.predict(PHANTOM.read_bytes()).json["decision"]
    expect(ready.locator("#result .plate")).to_have_text(decision)
    expect(ready.locator("#result")).to_contain_text("Site: uncalibrated")
    expect(ready.get_by_role("img", name="Heatmap over the image")).to_be_visible()


def test_noise_is_referred_and_text_is_refused(ready: Page, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    (tmp_path / "text.png").write_bytes(b"no image")
    ready.set_input_files("#files", tmp_path / "noise.png")
    expect(ready.locator("#result .plate")).to_have_text("REFER")
    ready.set_input_files("#files", tmp_path / "text.png")
    expect(ready.locator("#result .plate")).not_to_have_text("REFER")


def test_the_card_and_the_figures_are_the_models_own(ready: Page, real: Served) -> None:
    ready.click("#card-open")
    title = real.get("/v1/models/phantom-patch").json["card"].splitlines()[0].lstrip("# ")
    expect(ready.locator("#card-text")).to_contain_text(title)
