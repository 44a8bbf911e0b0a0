"""One planned image: its name, and where its bytes are."""

from __future__ import annotations

import enum
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.archive.packages import require


class RecordKind(enum.Enum):
    """Where the bytes of an image are. Plans contain the value."""

    FILE = "file"
    TAR = "tar"  # a range of bytes of a tar file
    PARQUET = "parquet"  # one row of a Parquet file
    ZIP = "zip"  # one file of a zipped study
    FAILURE = "failure"  # nowhere: a folder or tar file that cannot be read, as ``edge-predict`` reports it


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One image of an archive.

    Attributes:
        image: the name in the results: the path as it was given.
        place: absolute path or URL of the file with the bytes.
        start: first byte of a tar member in the uncompressed tar file, or number of the row, from 0.
        size: bytes of a tar member.
        detail: column of a Parquet file, name in a zip, or the message of a failure.
        code: error code of a failure.
        stamp: size and version of the file with the bytes, as :func:`edge_runtime.archive.sources.places.stamp_of`
            tells them; empty if it is not compared.
    """

    image: str
    kind: RecordKind
    place: str
    start: int = 0
    size: int = 0
    detail: str = ""
    code: str = ""
    stamp: str = ""

    def hashed(self) -> bytes:
        """Return a line that identifies the record, for the hash of the plan."""
        fields = [self.image, self.kind.value, self.place, self.start, self.size, self.detail, self.stamp]
        return json.dumps(fields).encode("ascii")


def plan_hash(settings: Sequence[object]) -> hashlib._Hash:
    """Return a SHA-256 object that begins with the settings of a plan."""
    return hashlib.sha256(json.dumps(settings).encode("ascii") + b"\n")


def record_schema() -> Any:
    """Return the Arrow schema of planned records. Names are bytes, as file systems have them."""
    pa = require("pyarrow")
    names = (("image", pa.binary()), ("kind", pa.string()), ("place", pa.binary()), ("start", pa.int64()))
    return pa.schema(
        [*names, ("size", pa.int64()), ("detail", pa.binary()), ("code", pa.string()), ("stamp", pa.string())]
    )


def to_table(records: Sequence[ArchiveRecord]) -> Any:
    """Return records as an Arrow table."""
    columns = {
        "image": [os.fsencode(r.image) for r in records],
        "kind": [r.kind.value for r in records],
        "place": [os.fsencode(r.place) for r in records],
        "start": [r.start for r in records],
        "size": [r.size for r in records],
        "detail": [os.fsencode(r.detail) for r in records],
        "code": [r.code for r in records],
        "stamp": [r.stamp for r in records],
    }
    return require("pyarrow").Table.from_pydict(columns, schema=record_schema())


def from_table(table: Any) -> Iterator[ArchiveRecord]:
    """Yield the records of a table."""
    columns = [table.column(name).to_pylist() for name in record_schema().names]
    for image, kind, place, start, size, detail, code, stamp in zip(*columns, strict=True):
        names = os.fsdecode(image), RecordKind(kind), os.fsdecode(place)
        yield ArchiveRecord(*names, start, size, os.fsdecode(detail), code, stamp)
