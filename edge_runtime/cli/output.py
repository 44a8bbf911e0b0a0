"""One line on stdout, at once, on whatever terminal this is."""

from __future__ import annotations

import sys

import click


def say(text: str) -> None:
    """Print ``text``; characters that stdout cannot write are escaped, as in a path that is no Unicode."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
