"""What others rely on changes on purpose alone: see :mod:`tests.surface`."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest

import edge_runtime
from tests import surface
from tests.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SECTIONS = sorted(json.loads(surface.FILE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return json.loads(json.dumps(surface.surface()))


@pytest.mark.parametrize("section", SECTIONS)
def test_the_public_surface_is_the_one_that_is_written_down(section: str, found: dict[str, Any]) -> None:
    assert found[section] == json.loads(surface.FILE.read_text(encoding="utf-8"))[section]


def test_nothing_is_left_out(found: dict[str, Any]) -> None:
    assert sorted(found) == SECTIONS


def test_programs_in_the_docs_import_public_names_alone() -> None:
    programs = [
        (page.name, program)
        for page in PAGES
        for program in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    ]
    imports = [
        (page, node)
        for page, program in programs
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "edge_runtime"
    ]
    assert imports
    for page, node in imports:
        assert node.module == "edge_runtime", f"{page}: from {node.module}"
        assert {alias.name for alias in node.names} <= set(edge_runtime.__all__), page
