"""Lists: one path or URL a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO


def listed(file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a list. Empty lines and lines that begin with ``#`` are skipped; the file is closed."""
    with file:
        for line in file:
            text = os.fsdecode(line.rstrip(b"\r\n"))
            if text and not text.startswith("#"):
                yield text
