"""Reader of CSV files from users, as spreadsheets and shells on any system write them.

It accepts UTF-8 with or without byte order mark, and UTF-16. The separator (comma, semicolon or tab) is detected from
the header. Any line end and quoted fields are accepted. Ambiguous input raises an error that names the file and line.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before the UTF-16 mark, which is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_CSV = (
    (b"PK\3\4", "an Excel workbook", "Save it as 'CSV UTF-8' in Excel."),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "Save it as 'CSV UTF-8' in Excel."),
    (b"version https://git-lfs", "a git-lfs pointer in place of the file", "Fetch the file with: git lfs pull"),
    (b"/annex/objects/", "a git-annex pointer in place of the file", "Fetch the file with: git annex get"),
    (b"<", "a web page or an XML response", "Download the file itself."),
    (b"{\\rtf", "a document with formatting", "Save it as plain text."),
    (b"%PDF", "a PDF document", "Give the CSV file."),
    (b"\x1f\x8b", "a gzip file", "Unpack it."),
    (bytes(16), "a file of zeros", "Copy the file again."),
)
"""First bytes of files that are not CSV, what they are, and the remedy."""

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_NO_HEADER = re.compile("sep=[,;\t]?|#TYPE .*", re.IGNORECASE)
_SHOWN = 80
"""Maximum number of characters of a header in an error message."""


@dataclass(frozen=True)
class CsvRow:
    """One line: its number in the file, counted from 1, and its fields by column name."""

    line: int
    fields: dict[str, str]


def read_rows(path: Path, headers: Sequence[str], error: type[Exception]) -> list[CsvRow]:
    """Return the lines of ``path`` below its header, without empty lines.

    Args:
        headers: alternative headers, each with comma-separated lower-case names, such as ``name,sha256``. The file's
            header must contain all names of one of them, in any order and case; it may have further columns.
        error: class of the exception to raise.

    Raises:
        error: the encoding, the header or a line is not as expected.
    """
    text = _decoded(path, error)
    separator = _separator(path, text, headers, error)
    lines = _lines(path, text, separator, error)
    _, header = next(lines)
    names = _names(header)
    rows = []
    for line, found in lines:
        fields = found[: len(names)] + _without_empty_end(found[len(names) :])
        if len(fields) != len(names):
            raise error(
                f"{path}, line {line}: found {len(fields)} fields, expected {len(names)} as in the header. "
                f"Put names that contain a {_SEPARATORS[separator]} in double quotes."
            )
        rows.append(CsvRow(line, dict(zip(names, fields, strict=True))))
    return rows


def _decoded(path: Path, error: type[Exception]) -> str:
    """Return the text without byte order mark, Excel's line ``sep=…`` and PowerShell's line ``#TYPE …``."""
    data = path.read_bytes()
    for magic, found, remedy in _NO_CSV:
        if data.removeprefix(codecs.BOM_UTF8).startswith(magic):
            raise error(f"{path}: found {found}, expected CSV. {remedy}")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None:  # UTF-16 without a mark: every other byte of a Latin header is 0
        encoding = {b"\0": "utf-16-be"}.get(data[:1], "utf-16-le" if data[1:2] == b"\0" else "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as fault:
        line = data[: fault.start].count(b"\n") + 1
        likely = "; the file may be in Latin-1 or Windows-1252" if encoding == "utf-8" else ""
        raise error(
            f"{path}, line {line}: found bytes that are not {encoding.upper()}, expected UTF-8 or UTF-16{likely}. "
            "Save it again as 'CSV UTF-8'."
        ) from None
    first, _, rest = text.partition("\n")
    return "\n" + rest if _NO_HEADER.fullmatch(first.rstrip("\r")) else text  # the empty line keeps the line numbers


def _separator(path: Path, text: str, headers: Sequence[str], error: type[Exception]) -> str:
    """Return the separator for which the first non-empty line contains all columns of one of ``headers``."""
    header = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    for separator in _SEPARATORS:
        found = _names(next(csv.reader([header], delimiter=separator), []))
        if any(set(expected.split(",")) <= set(found) for expected in headers):
            if len(set(found)) < len(found):  # without the unnamed ones at the end
                raise error(f"{path}: found a column twice in the header {header[:_SHOWN]!r}, expected each once.")
            return separator
    shown = repr(header[:_SHOWN]) if header else "no line"
    raise error(
        f"{path}: found {shown}, expected the header {' or '.join(headers)} in the first line, its columns separated "
        "by commas, semicolons or tabs. Correct the header."
    )


def _lines(path: Path, text: str, separator: str, error: type[Exception]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each non-empty line, starting with the header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, fields
    except csv.Error as fault:
        raise error(
            f"{path}, line {reader.line_num}: found {fault}, expected fields that are quoted completely or not at all. "
            "Correct the quotes."
        ) from None


def _names(header: list[str]) -> list[str]:
    """Return the names of the columns, lower case, without spaces and hyphens; unnamed ones at the end are left out."""
    return _without_empty_end([re.sub(r"[\s-]", "", field).lower() for field in header])


def _without_empty_end(fields: list[str]) -> list[str]:
    """Return the fields without the empty ones at the end, which spreadsheets write for columns that were in use."""
    count = next((i for i in range(len(fields), 0, -1) if fields[i - 1].strip()), 0)
    return fields[:count]
