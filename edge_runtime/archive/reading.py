"""Read the bytes of planned images, one file after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from typing import Any

from edge_runtime.archive.packages import require
from edge_runtime.archive.place_errors import DAMAGE, changed, place_error
from edge_runtime.archive.record import ArchiveRecord, RecordKind
from edge_runtime.archive.sources.parquet import BYTES
from edge_runtime.archive.sources.places import is_planned, is_remote, opened, remote, stamp_now
from edge_runtime.archive.sources.tars import uncompressed
from edge_runtime.dicom.zips import StudyZip
from edge_runtime.errors import EdgeError, ImageError
from edge_runtime.images.reader import MAX_BYTES

_ROWS_AT_ONCE = 16
"""Rows of a Parquet file that are decoded at once."""
Content = str | bytes | EdgeError
"""What the reader of images takes: a path, or the bytes of a file; or the error that stands in their place."""
Begin = Callable[[], object]


def contents(records: Iterable[ArchiveRecord], begin: Begin = bool) -> Iterator[tuple[ArchiveRecord, Content]]:
    """Yield each record with its content, in order. Neighbouring records of one file are read from it together.

    Args:
        begin: called before the content of each record is read.
    """
    for (kind, place, column, stamp), group in groupby(records, key=_file):
        if stamp and kind is not RecordKind.FILE and (fault := _not_planned(place, stamp)):
            for record in group:
                begin()
                yield record, _error(fault, record) if isinstance(fault, Exception) else changed(record)
        elif kind is RecordKind.TAR:
            yield from _members(place, group, begin)
        elif kind is RecordKind.ZIP:
            yield from _zipped(place, group, begin)
        elif kind is RecordKind.PARQUET:
            yield from _rows(place, column, list(group), begin)
        else:
            for record in group:
                begin()
                yield record, _whole_file(record)


def _file(record: ArchiveRecord) -> tuple[RecordKind, str, str, str]:
    """Return what neighbouring records of one file share."""
    column = record.detail if record.kind is RecordKind.PARQUET else ""
    return record.kind, record.place, column, record.stamp


def _not_planned(place: str, stamp: str) -> Exception | bool:
    """Return whether a file is another one than was planned, or the error of looking at it."""
    try:
        return stamp_now(place) != stamp
    except Exception as error:  # each file system of fsspec has errors of its own
        return error


def _whole_file(record: ArchiveRecord) -> Content:
    if record.kind is RecordKind.FAILURE:
        return ImageError(record.detail, code=record.code)
    return _remote_file(record) if is_remote(record.place) else record.place


def _remote_file(record: ArchiveRecord) -> Content:
    try:
        system, path = remote(record.place)
        data = bytes(system.cat_file(path, start=0, end=MAX_BYTES + 1))
        return data if is_planned(record.place, record.stamp, data) else changed(record)
    except Exception as error:  # each file system of fsspec has errors of its own
        return _error(error, record)


def _members(place: str, group: Iterable[ArchiveRecord], begin: Begin) -> Iterator[tuple[ArchiveRecord, Content]]:
    records = iter(group)
    try:
        with opened(place) as raw, uncompressed(raw) as file:
            for record in records:
                begin()
                yield record, _member(file, record)
    except OSError as error:
        for record in records:
            begin()
            yield record, _error(error, record)


def _member(file: Any, record: ArchiveRecord) -> Content:
    try:
        file.seek(record.start)
        data: bytes = file.read(min(record.size, MAX_BYTES + 1))
    except (*DAMAGE, OSError) as error:
        return _error(error, record)
    return data if len(data) == min(record.size, MAX_BYTES + 1) else _error(EOFError("it ends early"), record)


def _zipped(place: str, group: Iterable[ArchiveRecord], begin: Begin) -> Iterator[tuple[ArchiveRecord, Content]]:
    """Yield the files of a zip, which is opened once."""
    study: StudyZip | None = None
    with ExitStack() as stack:
        for record in group:
            begin()
            name = record.image.removesuffix(f"/{record.detail}")  # of the zip, as it was given
            try:
                if study is None:
                    study = stack.enter_context(StudyZip(stack.enter_context(opened(place)), name))
                yield record, study.read(record.detail)
            except Exception as error:  # each file system of fsspec has errors of its own
                yield record, _error(error, record)


def _rows(
    place: str, column: str, records: list[ArchiveRecord], begin: Begin
) -> Iterator[tuple[ArchiveRecord, Content]]:
    """Yield the rows of one Parquet file. Records of one file are in order and without gaps."""
    rest, fault = iter(records), None
    try:
        with opened(place) as file:
            values = _values(require("pyarrow.parquet").ParquetFile(file), column, records[0].start, len(records))
            for record in rest:
                begin()
                found = _next(values)
                yield record, _error(found, record) if isinstance(found, Exception) else found
    except (require("pyarrow").ArrowException, OSError) as error:
        fault = error
    for record in rest:
        begin()
        yield record, _error(fault or EOFError("it ends early"), record)


def _next(values: Iterator[bytes]) -> bytes | Exception:
    """Return the next value, or the error in its place."""
    try:
        return next(values)
    except StopIteration:
        return EOFError("it ends early")
    except (require("pyarrow").ArrowException, OSError, KeyError) as error:
        return error


def _values(file: Any, column: str, first: int, count: int) -> Iterator[bytes]:
    """Yield ``count`` values of a column of bytes from row ``first``; a missing value is empty."""
    groups, start, end = [], 0, first + count
    skipped = 0
    for number in range(file.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if start < end and start + rows > first:
            groups.append(number)
        elif not groups:
            skipped += rows
        start += rows
    row = skipped
    for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=groups, columns=[column]):
        values = batch.column(0)
        for index in range(max(0, first - row), min(len(values), end - row)):
            value = values[index].as_py()
            yield (value.get(BYTES) if isinstance(value, dict) else value) or b""
        row += len(values)
        if row >= end:
            return


def _error(error: Exception, record: ArchiveRecord) -> EdgeError:
    return place_error(error, record, remote=is_remote(record.place))
