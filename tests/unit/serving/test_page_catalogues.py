"""The page's words: both languages are complete, every key exists and is used, every code of the service has text."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.places import ROOT
from tests.service_codes import service_codes

PAGE = ROOT / "edge_runtime" / "serving" / "page"
CATALOGUES = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((PAGE / "catalogue").glob("*.json"))}
SCRIPTS = {path.name: path.read_text("utf-8") for path in sorted((PAGE / "script").glob("*.js"))}
INDEX = (PAGE / "index.html").read_text("utf-8")
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "prediction.schema.json").read_text("utf-8"))["$defs"]
LITERAL = re.compile(r'"([a-z_]+(?:\.[a-z0-9_-]+)+)"')
OF_FILES = (".js", ".json", ".csv")
NOT_OVER_HTTP = {
    *("folder_unreadable", "folder_without_images", "image_is_directory", "image_not_found", "image_not_regular"),
    *("image_permission", "image_kills_process"),
}


def used() -> set[str]:
    """Keys that stand in the code as they are."""
    found = set(re.findall(r'data-(?:text|label)="([^"]+)"', INDEX))
    for script in SCRIPTS.values():
        found |= set(re.findall(r'\btext\(\s*"([^"]+)"', script))
        found |= {key for key in LITERAL.findall(script) if not key.endswith(OF_FILES)}
    return found


def prefixes() -> set[str]:
    """Beginnings of keys that are made of a code: ``reason`` of ``reason.ABOVE_CUTOFF``."""
    found: set[str] = set()
    for script in SCRIPTS.values():
        found |= set(re.findall(r"\btext\(\s*`([a-z]+)\.\$\{", script))
        found |= set(re.findall(r'\btextOfCode\("([a-z]+)"', script))
    return found


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_the_languages_are_those_that_the_page_offers() -> None:
    offered = re.search(r"LANGUAGES = \{([^}]*)\}", SCRIPTS["catalogue.js"])
    assert offered is not None
    assert set(re.findall(r"(\w+):", offered[1])) == set(CATALOGUES)


@pytest.mark.parametrize("language", sorted(set(CATALOGUES) - {"en"}))
def test_catalogues_have_the_same_keys_and_placeholders(language: str) -> None:
    english, other = CATALOGUES["en"], CATALOGUES[language]
    assert list(other) == list(english)
    assert {key: placeholders(other[key]) for key in other} == {key: placeholders(english[key]) for key in english}
    assert not [key for key, text in other.items() if not text.strip()]


def test_every_key_in_the_code_exists() -> None:
    assert len(used()) > 80
    assert sorted(used() - set(CATALOGUES["en"])) == []


def test_every_key_is_used() -> None:
    made = prefixes()
    assert [key for key in CATALOGUES["en"] if key not in used() and key.partition(".")[0] not in made] == []


@pytest.mark.parametrize(
    ("prefix", "codes"),
    [
        ("decision", SCHEMA["answer"]["properties"]["decision"]["enum"]),
        ("reason", SCHEMA["answer"]["properties"]["reason"]["enum"]),
        ("site", SCHEMA["answer"]["properties"]["site"]["enum"]),
        ("fallback", SCHEMA["answer"]["properties"]["fallback"]["enum"]),
        ("heat", SCHEMA["heatmap"]["properties"]["method"]["enum"]),
    ],
)
def test_every_code_of_an_answer_has_text(prefix: str, codes: list[str]) -> None:
    assert [code for code in codes if f"{prefix}.{code}" not in CATALOGUES["en"]] == []


@pytest.mark.parametrize("prefix", ["error", "remedy"])
def test_every_refusal_has_a_cause_and_a_remedy(prefix: str) -> None:
    codes = set(SCHEMA["failure"]["properties"]["error"]["properties"]["code"]["anyOf"][0]["enum"]) - NOT_OVER_HTTP
    codes |= service_codes()
    assert {"queue_full", "read_timeout", "host_unknown"} <= codes
    assert sorted(code for code in codes if f"{prefix}.{code}" not in CATALOGUES["en"]) == []


def test_the_page_has_no_inline_style_or_script_and_names_no_other_host() -> None:
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", INDEX)
    allowed = {"http://www.w3.org/2000/svg"}  # a name, not an address
    for path in PAGE.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8")
            assert set(re.findall(r"https?://[^\s\"'<>]+", text)) <= allowed, path
            assert "innerHTML" not in text, path
