"""The page about a bundle says what its manifest says."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

from click.testing import CliRunner

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Attempt
from export.cli import main
from export.validation.report import parity_page


def _text(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", " ", page))


def test_the_page_holds_every_file_every_attempt_and_every_figure(phantom_bundle: Path, tmp_path: Path) -> None:
    manifest = find(phantom_bundle).manifest
    done = CliRunner().invoke(main, ["report", str(phantom_bundle), "--out", str(tmp_path / "page.html")])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'page.html'}\n")
    text = _text((tmp_path / "page.html").read_text(encoding="utf-8"))
    for entry in manifest.files:
        assert entry.name in text and entry.sha256[:16] in text
    for row in manifest.parity:
        assert f"{row.logit_max:.3g}" in text
    for attempt in manifest.attempts:
        assert attempt.how in text
    keras = manifest.labelled[0]
    for row in manifest.labelled:
        assert f"{row.auroc:.4f}" in text and f"{row.auroc - keras.auroc:+.4f}" in text
        for found in row.coverage:
            assert f"{found.coverage:.3f}" in text
    assert "<script" not in text and "http" not in text


def test_what_a_manifest_says_is_text_and_no_markup(phantom_bundle: Path) -> None:
    manifest = find(phantom_bundle).manifest
    hostile = replace(manifest, attempts=(Attempt("<b>", "<script>alert(1)</script>", failure="<i>"),))
    page = parity_page(hostile)
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_a_bundle_without_labels_has_a_page_without_their_table(phantom_bundle: Path) -> None:
    assert "AUROC" not in parity_page(replace(find(phantom_bundle).manifest, labelled=()))
