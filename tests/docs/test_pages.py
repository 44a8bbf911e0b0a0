"""What every page of README and docs keeps to: links, paths and codes that exist, a beginning in words, a length."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT
from tests.one_image import way_of
from tests.service_codes import service_codes

DOCS = ROOT / "docs"
MOST_WORDS, MOST_WORDS_OF_A_RECORD = 900, 250
MODULE_FOLDERS = ("edge_runtime", "training", "export", "tests", "docs", "calibration_data", "benchmarks")
GENERATED = {"results/", "runs/"}


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def ids() -> list[str]:
    return [page.relative_to(ROOT).as_posix() for page in PAGES]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them of ours."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    kept = [re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower() for heading in headings]
    return {re.sub(r"[\s-]+", "-", heading) for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=ids())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            dead.append(target)
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=ids())
def test_a_page_begins_with_what_its_reader_gets(page: Path) -> None:
    title, first, *_ = [part for part in page.read_text(encoding="utf-8").split("\n\n") if part.strip()]
    assert title.startswith("# ")
    assert "\n" not in title.strip()
    assert re.match(r"[A-Z`\[]", first), first[:80]
    assert re.search(r"[.:?]$", first.strip()), f"no whole sentence: {first[-80:]}"


@pytest.mark.parametrize("page", PAGES, ids=ids())
def test_paths_of_code_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(MODULE_FOLDERS)})/[\w./-]+)`", prose(page))
    gone = sorted({path for path in named if "NAME" not in path and not (ROOT / path).exists()})
    assert not gone


def test_the_readme_fits_a_screen_and_says_what_must_be_said() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= MOST_WORDS
    assert "Not a medical device" in text
    assert "Decision support for trained people" in text
    assert re.search(r"`mias-region`.*research only", text)
    assert "Not all of them are" in text
    for mark in ("main", "tests"):
        assert re.search(rf"<!-- {mark} -->\n```sh\npython3 -m venv [^\n]+\n```\n<!-- end -->", text)


def test_no_page_claims_that_all_foreign_images_are_referred() -> None:
    claim = re.compile(r"refers? all|all (?:foreign )?images of other|every foreign image is referred", re.IGNORECASE)
    found = {page.name: claim.findall(prose(page)) for page in PAGES}
    assert {name: said for name, said in found.items() if said} == {
        "shipped-models.md": ["every foreign image is referred"]  # "That does not mean that …"
    }


def test_records_of_decisions_are_short_and_have_three_parts() -> None:
    records = sorted((DOCS / "decisions").glob("0*.md"))
    assert len(records) == 8
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert len(text.split()) < MOST_WORDS_OF_A_RECORD, record.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_way_of_one_image_is_drawn_as_it_is_run() -> None:
    page = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    (drawn,) = re.findall(r"^```\n(cli/predict\.py.*?)^```", page, re.DOTALL | re.MULTILINE)
    on_page = re.findall(r"^( *[\w/]+\.py) ", drawn, re.MULTILINE)
    entered = [line.partition(":")[0] for line in way_of(DOCS / "phantom.png").drawn().splitlines()]
    assert on_page == entered


def codes() -> set[str]:
    """Every code that the runtime gives an error: default ones, those given by name, and formats' tables."""
    found = set()
    for path in (ROOT / "edge_runtime").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'(?:default_code|code) ?= ?"([a-z_]+)"', text))
        found |= {f"results_{kind}" for kind in re.findall(r'results_error\(\w+, "([a-z_]+)"', text)}
        found |= {f"results_{kind}" for kind in re.findall(r'kind, text = "([a-z_]+)"', text)}
        found |= set(re.findall(r'"((?:image|machine|output)_[a-z_]+)"', text)) if "errors" not in path.name else set()
    return found


def test_every_error_code_is_explained() -> None:
    listed = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    helped = (DOCS / "how-to" / "troubleshooting.md").read_text(encoding="utf-8")
    known = codes() | service_codes()
    assert {"image_truncated", "image_cmyk", "results_in_use", "machine_io", "known_answers", "version_older"} <= known
    assert not sorted(code for code in known if f"`{code}`" not in listed)
    general = {"error", "image", "results", "bundle", "signature", "write"}
    assert not sorted(code for code in known - general if f"`{code}`" not in helped)


def test_each_term_of_the_glossary_has_one_meaning() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(terms) > 40
    assert terms == sorted(set(terms))


def test_the_statistics_are_the_ones_that_the_page_numbers() -> None:
    tree = ast.parse((ROOT / "edge_runtime" / "ood" / "detector.py").read_text(encoding="utf-8"))
    (names,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "NAMES"]
    count = len(ast.literal_eval(ast.unparse(names).replace("*(", "").replace("),", ",").replace("))", ")")))
    page = (DOCS / "reference" / "statistics.md").read_text(encoding="utf-8")
    assert f"the {count} numbers" in page
    assert f"`whitening` ({count * (count + 1) // 2} numbers" in page
