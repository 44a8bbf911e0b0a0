"""Find the images of a source: a folder, a list, a tar file, a Parquet file, or one image; local or remote."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from edge_runtime.archive.place_errors import source_error
from edge_runtime.archive.record import ArchiveRecord, RecordKind
from edge_runtime.archive.sources.folders import local_folder, remote_folder
from edge_runtime.archive.sources.lists import listed
from edge_runtime.archive.sources.parquet import parquet_rows
from edge_runtime.archive.sources.places import absolute, is_remote, open_place, remote
from edge_runtime.archive.sources.studies import zip_entries
from edge_runtime.archive.sources.tars import tar_members
from edge_runtime.dicom.zips import is_zip
from edge_runtime.errors import ArchiveError
from edge_runtime.images.entries import has_image_suffix
from edge_runtime.images.left_out import LeftOut

STDIN = "-"
_LISTS = (".txt", ".lst", ".list")
_TARS = (".tar", ".tar.gz", ".tgz")
_ZIP = ".zip"
_PARQUETS = (".parquet", ".pq")


def read_source(
    source: str, column: str | None = None, *, dicom: bool = False, nested: bool = False
) -> Iterator[ArchiveRecord | LeftOut]:
    """Yield the images of a source, and what is left out, in a fixed order.

    A local folder holds what ``edge-predict FOLDER`` finds in it, in the same order.

    Args:
        source: a path, a URL of fsspec (``s3://bucket/folder``), or ``-`` for a list on stdin.
        column: column with the bytes of the images, for Parquet files.
        dicom: whether the model accepts DICOM: then DICOM files count as images, and zips hold studies.
        nested: the source is a line of a list; it can be no list itself.

    Raises:
        ArchiveError: ``archive_source``: the source cannot be read.
    """
    lower = source.lower()
    if (source == STDIN or lower.endswith(_LISTS)) and not nested:
        lines = listed(sys.stdin.buffer) if source == STDIN else listed(open_place(source))
        for line in lines:
            yield from read_source(line, column, dicom=dicom, nested=True)
    elif lower.endswith(_TARS):
        yield from tar_members(source, dicom=dicom)
    elif lower.endswith(_PARQUETS):
        yield from parquet_rows(source, column)
    elif dicom and (lower.endswith(_ZIP) if is_remote(source) else is_zip(source)):
        yield from zip_entries(source)
    elif is_remote(source) and not has_image_suffix(source):
        yield from _remote(source, dicom)
    elif not is_remote(source) and os.path.isdir(source):
        yield from local_folder(source, dicom=dicom)
    else:
        yield ArchiveRecord(source, RecordKind.FILE, absolute(source))


def _remote(source: str, dicom: bool) -> Iterator[ArchiveRecord | LeftOut]:
    system, path = remote(source)
    try:
        is_folder, is_file = system.isdir(path), system.isfile(path)
    except Exception as error:  # each file system of fsspec has errors of its own
        raise source_error(error, source) from None
    if is_file and not is_folder:
        yield ArchiveRecord(source, RecordKind.FILE, source)
    elif is_folder:
        yield from remote_folder(system, path, source, dicom=dicom)
    else:
        raise ArchiveError(f"{source}: found nothing there, expected a folder or a file. Check the address.")
