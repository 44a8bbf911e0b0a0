"""The site builds without a warning, holds every page, and loads nothing from elsewhere."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edge_runtime
from tests.docs.blocks import ROOT

DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra docs is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def article(page: Path) -> str:
    """The words of a built page, without navigation."""
    text = page.read_text(encoding="utf-8")
    text = text[text.index("<article") : text.index("</article>")]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_every_page_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    navigation = home[home.index('class="md-nav md-nav--primary') :]
    linked = set(re.findall(r'<a href="([\w./-]+\.html)"', navigation)) | {"index.html"}
    assert pages - linked == {"familiarity.html"}, "the one that only leads to others"
    assert all((site / page).is_file() for page in pages)


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    loading = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']?(?:https?:)?//")
    assert not [page.name for page in pages if loading.search(page.read_text(encoding="utf-8"))]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(?:https?:)?//", styles)


def test_the_reference_of_python_names_all_that_is_public(site: Path) -> None:
    page = (site / "reference" / "api.html").read_text(encoding="utf-8")
    assert not [name for name in edge_runtime.__all__ if name not in page]
    missing = [n for n in edge_runtime.__all__ if n != "__version__" and f'id="edge_runtime.{n}"' not in page]
    assert not missing
    words = article(site / "reference" / "api.html")
    assert "Classify one image" in words
    assert ":meth:" not in words


def test_the_reference_of_commands_shows_their_options(site: Path) -> None:
    words = article(site / "reference" / "commands.html")
    wanted = ("--heatmap", "--trusted-key", "edge-bundle rollback", "python -m export benchmark", "--calibration")
    assert not [text for text in (*wanted, "python -m training crossvalidate", "--folds") if text not in words]
    assert "UNSET" not in words


def test_comments_for_tests_are_not_shown(site: Path) -> None:
    assert not [page.name for page in site.rglob("*.html") if "<!-- not run:" in page.read_text(encoding="utf-8")]


def test_files_that_others_name_lie_in_the_site(site: Path) -> None:
    for name in (
        "phantom.png",
        "prediction.schema.json",
        "certificate.schema.json",
        "edge-predict.service",
        "edge-serve.service",
        "edge-dicom.service",
    ):
        assert (site / name).read_bytes() == (DOCS / name).read_bytes()
    assert (site / "constraints" / "aarch64-litert-py311.txt").is_file()
