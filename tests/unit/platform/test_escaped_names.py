"""Whatever a file is called, it is shown in one line, without power over a terminal or a spreadsheet."""

from __future__ import annotations

import csv
import io
import sys
import unicodedata
from pathlib import Path

import pytest

from edge_runtime.platform.escaped_names import shown, shown_cell, shown_lines

FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, format characters, surrogates, line and paragraph separators


def test_every_character_that_controls_is_escaped_and_stays_readable() -> None:
    """All of Unicode, by the categories of the Unicode database, and back by Python's own decoder."""
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        found = shown(character)
        if unicodedata.category(character) in FORBIDDEN:
            assert found.isascii() and found.isprintable(), hex(number)
            assert found.encode("ascii").decode("unicode_escape") == character
        else:
            assert found == character or found.startswith("\\"), hex(number)


@pytest.mark.parametrize(
    "name", ["a.png", "Übersicht 切片.png", "a'b\"c`d$(e);f.png", "~x|y&z.png", "a\\b", "\U0001f469.png"]
)
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert shown(name) == shown(Path(name)) == shown_lines(name) == name
    assert shown(shown(name)) == name


def test_lines_are_kept_where_they_are_ours() -> None:
    assert shown_lines("a\x1b\nb\r\n") == "a\\x1b\nb\\r\n"


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    '"=1',
    "'=1",
    "a;=1",
    "a; +1",
]


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_no_cell_begins_a_formula_whichever_delimiter_a_spreadsheet_knows(name: str, delimiter: str) -> None:
    text = io.StringIO()
    csv.writer(text).writerow([shown_cell(name), "x", shown_cell(f"{name}: found")])
    (row,) = csv.reader(io.StringIO(text.getvalue()), delimiter=delimiter)
    assert not [cell for cell in row if cell.lstrip("\"' ")[:1] in tuple("=+-@\t\r＝＋－＠") and "'" not in cell[:3]]


@pytest.mark.parametrize("name", ["a=b.png", "2024-01-02.png", "a+b", "x@y.png", "f/-1.png"])
def test_what_stands_inside_a_cell_stays(name: str) -> None:
    assert shown_cell(name) == name
