"""Tar files, plain or gzip, and WebDataset shards: the members that are images, with their place in the file."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from edge_runtime.archive.place_errors import DAMAGE
from edge_runtime.archive.record import ArchiveRecord, RecordKind
from edge_runtime.archive.sources.places import absolute, open_place, planned_stamp
from edge_runtime.archive.sources.studies import reason_of_head
from edge_runtime.dicom.guard import MOST_BYTES
from edge_runtime.images.content import HEAD_BYTES
from edge_runtime.images.entries import has_image_suffix, reason_of_path
from edge_runtime.images.left_out import LeftOut, LeftOutReason

GZIP = b"\x1f\x8b"


def tar_members(source: str, *, dicom: bool = False) -> Iterator[ArchiveRecord | LeftOut]:
    """Yield the image members of a tar file in their order, and the others as left out.

    If the file is damaged or truncated, the members before the damage are yielded, then a failure.

    Args:
        source: path or URL of the tar file.
        dicom: whether DICOM files count as images.

    Raises:
        ArchiveError: ``archive_source``: the file cannot be opened.
        MachineError: memory, descriptors or I/O failed.
    """
    with open_place(source) as raw, uncompressed(raw) as file:
        count, stamp = 0, planned_stamp(source)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # it keeps every member otherwise
                    if not member.isdir():
                        yield _judged(source, stamp, member, file, dicom)
                        count += 1
        except DAMAGE as error:
            message = (
                f"{source}: found a damaged tar file ({error}) after {count} members, expected a whole one. "
                "Copy or make it again."
            )
            yield ArchiveRecord(source, RecordKind.FAILURE, source, detail=message, code="archive_tar_damaged")


def uncompressed(file: BinaryIO) -> BinaryIO:
    """Return the file itself, or what it holds if it is compressed by gzip, at its start."""
    compressed = file.read(len(GZIP)) == GZIP
    file.seek(0)
    return cast("BinaryIO", gzip.GzipFile(fileobj=file)) if compressed else file


def _judged(source: str, stamp: str, member: tarfile.TarInfo, file: BinaryIO, dicom: bool) -> ArchiveRecord | LeftOut:
    name = f"{source}/{member.name}"
    reason = _reason(member, file, dicom)
    if reason is not None:
        return LeftOut(name, reason)
    return ArchiveRecord(name, RecordKind.TAR, absolute(source), member.offset_data, member.size, stamp=stamp)


def _reason(member: tarfile.TarInfo, file: BinaryIO, dicom: bool) -> LeftOutReason | None:
    if reason := reason_of_path(member.name):
        return reason
    if not member.isreg() or member.issparse():
        return LeftOutReason.SPECIAL_FILE
    if has_image_suffix(member.name):
        return None

    def load(most: int = MOST_BYTES) -> bytes:
        file.seek(member.offset_data)
        return file.read(min(member.size, most))

    return reason_of_head(member.name, load(HEAD_BYTES), load, dicom=dicom)
