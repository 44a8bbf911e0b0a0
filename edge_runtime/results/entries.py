"""Read a results file line by line, including damaged lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from edge_runtime.results.lines import HEAD
from edge_runtime.results.record import Line, LineError, OtherReleaseError, from_line

LONGEST = 1 << 20
"""Largest number of bytes read as one line; real lines are much shorter."""


@dataclass(frozen=True)
class ResultsEntry:
    """One line of the file, valid or damaged.

    Attributes:
        number: line number, from 1.
        start: offset of the first byte in the file.
        data: the bytes of the line with its end.
        line: the parsed line; None if it is damaged.
        fault: description of the damage; empty for a valid line.
        release: schema of the line if another release wrote it; else empty.
        torn: the line is incomplete: it starts like a line but has no end, or is all zeros. A kill or a power cut
            leaves such lines.
    """

    number: int
    start: int
    data: bytes
    line: Line | None = None
    fault: str = ""
    release: str = ""
    torn: bool = False


def entries(file: BinaryIO) -> Iterator[ResultsEntry]:
    """Yield every line from the start of the file to its end."""
    number = start = 0
    while data := file.readline(LONGEST):
        number += 1
        yield _entry(number, start, data)
        start += len(data)


def _entry(number: int, start: int, data: bytes) -> ResultsEntry:
    if not data.strip(b"\0"):  # some file systems leave zeros after a power cut
        return ResultsEntry(number, start, data, fault="zeros", torn=True)
    if not data.endswith(b"\n"):
        torn = len(data) < LONGEST and data.startswith(HEAD[: len(data)])
        return ResultsEntry(number, start, data, fault="it has no end", torn=torn)
    try:
        return ResultsEntry(number, start, data, from_line(data))
    except OtherReleaseError as error:
        return ResultsEntry(number, start, data, fault=str(error), release=error.schema)
    except LineError as error:
        return ResultsEntry(number, start, data, fault=str(error))
