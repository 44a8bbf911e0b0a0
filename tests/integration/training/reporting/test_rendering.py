"""Templates escape HTML and leave Markdown alone, refuse names that a page lacks, and are all used."""

from dataclasses import dataclass
from pathlib import Path

import jinja2
import pytest

from edge_runtime.bundle.manifest import Figure
from tests.places import ROOT
from training.reporting.rendering import Cell, Table, markdown_cell, render

EVIL = "<b>\"&'"


@dataclass(frozen=True)
class _Page:
    table: Table


def _page(*row: Cell) -> _Page:
    return _Page(Table(("a", "b|c"), (row,)))


def _template(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_in_html_is_escaped_and_shows_intervals_and_dashes(tmp_path: Path) -> None:
    path = _template(
        tmp_path, "x.html.j2", '{% from "macros.html.j2" import table %}{{ table(page.table.head[0], page.table) }}'
    )
    html = render(path, _page(EVIL, Figure("f", 0.5, 0.25, 1.0), Figure("f", 0.5), None))
    assert '<th scope="row">&lt;b&gt;&#34;&amp;&#39;</th>' in html
    assert "<td>0.500 <small>[0.250, 1.000]</small></td><td>0.500</td><td>–</td></tr>" in html


def test_a_table_in_markdown_is_plain_text_whose_bars_split_no_cell(tmp_path: Path) -> None:
    path = _template(tmp_path, "x.md.j2", '{% from "macros.md.j2" import table %}{{ table(page.table) }}')
    text = render(path, _page(EVIL, Figure("f", 0.5, 0.25, 1.0)))
    assert text == f"| a | b\\|c |\n|---|---|\n| {EVIL} | 0.500 [0.250, 1.000] |\n"
    assert render(path, _Page(Table(("a",), ()))) == ""
    assert [markdown_cell(cell) for cell in (None, "", "a|b\nc")] == ["–", "", "a\\|b c"]


@pytest.mark.parametrize("name", ["x.html.j2", "x.md.j2"])
def test_a_name_that_a_page_lacks_is_an_error_and_no_gap(name: str, tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError, match="tabel"):
        render(_template(tmp_path, name, "{{ page.tabel }}"), _page())


def test_every_template_is_named_by_code_or_by_another_template() -> None:
    templates = sorted(path for package in ("training", "export") for path in (ROOT / package).rglob("*.j2"))
    texts = [path.read_text(encoding="utf-8") for path in (*templates, *(ROOT / "training").rglob("*.py"))]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "export").rglob("*.py")]
    assert len(templates) >= 8
    assert [path.name for path in templates if not any(f'"{path.name}"' in text for text in texts)] == []
