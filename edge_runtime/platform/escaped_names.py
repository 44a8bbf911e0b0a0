"""File names, and whatever else comes from outside, as they are shown to people."""

from __future__ import annotations

import os
import re

_FORMULA = r"(^|;)(\s*[\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])"
"""Where a spreadsheet would begin to compute: at the start of a cell, and after a semicolon, which some languages'
spreadsheets take for the end of one. The full-width forms count as well."""


def shown(text: str | os.PathLike[str]) -> str:
    r"""Return ``text`` in one line without anything that controls a terminal.

    What :meth:`str.isprintable` refuses is written as in a Python string (``\n``, ``\x1b``, ``\u202e``, ``\udce9``):
    controls of C0 and C1, DEL, line and paragraph separators, format characters (bidirectional overrides, marks
    without width), bytes that are no UTF-8, unassigned characters, and every space but the usual one. The rest stays.
    """
    text = os.fspath(text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shown_lines(text: str) -> str:
    """Return a text of several lines as :func:`shown` does, with its line ends."""
    return text if text.isprintable() else "\n".join(map(shown, text.split("\n")))


def shown_cell(text: str) -> str:
    """Return ``text`` as a cell that no spreadsheet takes for a formula: an apostrophe stands before such a beginning.

    Tab and carriage return, which begin a formula for some, are written as in :func:`shown`.
    """
    return re.sub(_FORMULA, r"\1'\2", shown(text))
