"""CSV files as spreadsheets, shells and editors write them: the same rows, or an error that names the fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.serialisation.csv_file import CsvRow, read_rows
from training.errors import DatasetError

PLAIN = 'name,sha256\nä/1.png,aa\n"b, c@1,2,3",bb\n'
ROWS = [("ä/1.png", "aa"), ("b, c@1,2,3", "bb")]


def _read(path: Path, data: bytes, header: str = "name,sha256") -> list[CsvRow]:
    path.write_bytes(data)
    return read_rows(path, [header], DatasetError)


def _pairs(rows: list[CsvRow]) -> list[tuple[str, str]]:
    return [(row.fields["name"], row.fields["sha256"]) for row in rows]


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-16-be with mark", "utf-32"]
)
def test_rows_do_not_depend_on_encoding_separator_and_line_end(
    tmp_path: Path, separator: str, end: str, encoding: str
) -> None:
    lines = [f'"{name}"{separator}{sha}' for name, sha in [("name", "sha256"), *ROWS]]
    text = end.join([*lines, ""])
    data = b"\xfe\xff" + text.encode("utf-16-be") if "mark" in encoding else text.encode(encoding)
    rows = _read(tmp_path / "list.csv", data)
    assert _pairs(rows) == ROWS
    assert [row.line for row in rows] == [2, 3]


@pytest.mark.parametrize(
    "text",
    [
        "\n\n" + PLAIN,
        PLAIN.replace("\n", "\n\n"),
        PLAIN + ",\n;;\n".replace(";;", ","),
        PLAIN.replace("name,sha256", "Name, SHA256"),
        PLAIN.rstrip("\n"),
        "sep=;\r\n" + PLAIN.replace('"b, c@1,2,3"', "X").replace(",", ";").replace("X", "b, c@1,2,3"),
        "#TYPE System.Management.Automation.PSCustomObject\r\n" + PLAIN,
        PLAIN.replace("\n", ",,\n"),
        PLAIN.replace("aa\n", "aa,,\n"),
        PLAIN.replace("sha256", "SHA-256"),
    ],
    ids=[
        "empty lines before",
        "empty lines between",
        "lines of separators",
        "capitals",
        "no last end",
        "sep line",
        "type line",
        "empty columns",
        "empty fields",
        "hyphen",
    ],
)
def test_what_spreadsheets_add_is_no_row(tmp_path: Path, text: str) -> None:
    assert _pairs(_read(tmp_path / "list.csv", text.encode())) == ROWS


def test_columns_are_found_by_name_among_others(tmp_path: Path) -> None:
    rows = _read(tmp_path / "list.csv", b"sha256;size;name\naa;12;x.png\n")
    assert _pairs(rows) == [("x.png", "aa")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (PLAIN.encode("latin-1"), r"list\.csv, line 2: found bytes that are not UTF-8.*Latin-1.*Save it again as"),
        (b"\xff\xfe" + PLAIN.encode("utf-16-le")[:-1], "found bytes that are not UTF-16"),
        (b"file,hash\na,b\n", "found 'file,hash', expected the header name,sha256"),
        (b"name|sha256\na|b\n", r"found 'name\|sha256'.*separated by commas, semicolons or tabs"),
        (b"a.png,aa\nb.png,bb\n", "found 'a.png,aa', expected the header"),
        (b"", "found no line, expected the header"),
        (b"name,sha256,Name\na,b,c\n", "found a column twice"),
        (b"name,sha256\nmdb1.pgm@1,2,3,aa\n", r"line 2: found 4 fields, expected 2.*contain a comma in double quotes"),
        (b"name,sha256\na.png\n", "line 2: found 1 fields, expected 2"),
        (b'name,sha256\n"a.png,aa\nb.png,bb\n', r"line 3: found unexpected end of data.*Correct the quotes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "found a git-lfs pointer.*git lfs pull"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "found a web page"),
        (bytes(80), "found a file of zeros"),
        (b"name,sha256,,\na,b,,c\n", "line 2: found 4 fields, expected 2"),
        (b"PK\3\4" + bytes(80), "found an Excel workbook, expected CSV"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        _read(tmp_path / "list.csv", data)
    assert len(str(caught.value).splitlines()) == 1
