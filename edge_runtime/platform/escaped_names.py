"""Escape file names and other external text for display."""

from __future__ import annotations

import os
import re

_FORMULA = r"(^|;)(\s*[\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])"
"""Positions at which a spreadsheet could start a formula: at the start of a cell, and after a semicolon, which ends a
cell in the spreadsheets of some languages. Full-width forms of the characters count as well."""


def shown(text: str | os.PathLike[str]) -> str:
    r"""Return ``text`` in one line without characters that control a terminal.

    Characters that are not printable by :meth:`str.isprintable` are escaped as in a Python string (``\n``, ``\x1b``,
    ``\u202e``, ``\udce9``). These are C0 and C1 controls, DEL, line and paragraph separators, format characters
    (bidirectional overrides, zero-width marks), bytes that are not UTF-8, unassigned characters, and all spaces except
    the normal one. All other characters are unchanged.
    """
    text = os.fspath(text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shown_lines(text: str) -> str:
    """Escape each line of a text as :func:`shown` does, and keep the line ends."""
    return text if text.isprintable() else "\n".join(map(shown, text.split("\n")))


def shown_cell(text: str) -> str:
    """Return ``text`` as a cell that no spreadsheet reads as a formula, with an apostrophe where one could start.

    Tab and carriage return, which start a formula in some spreadsheets, are escaped as in :func:`shown`.
    """
    return re.sub(_FORMULA, r"\1'\2", shown(text))
