"""What a results file holds, line by line, and where damage begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from edge_runtime.results.lines import HEAD
from edge_runtime.results.record import Line, LineError, OtherReleaseError, from_line

LONGEST = 1 << 20
"""Bytes of a line; no path and no message is nearly as long."""


@dataclass(frozen=True)
class ResultsEntry:
    """A piece of the file: a line, or what stands where one should.

    Attributes:
        number: of the line, from 1.
        start, data: where its bytes begin, and they themselves, with their end.
        line: what it says; None if it is damaged.
        fault: what is wrong with it.
        release: the schema of a line that another release wrote.
        torn: it has no end of line and begins as a line does, or is zeros: what a kill or a power cut leaves.
    """

    number: int
    start: int
    data: bytes
    line: Line | None = None
    fault: str = ""
    release: str = ""
    torn: bool = False


def entries(file: BinaryIO) -> Iterator[ResultsEntry]:
    """Yield every piece from the file's start to its end."""
    number = start = 0
    while data := file.readline(LONGEST):
        number += 1
        yield _entry(number, start, data)
        start += len(data)


def _entry(number: int, start: int, data: bytes) -> ResultsEntry:
    if not data.strip(b"\0"):  # what some file systems leave after a power cut
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
