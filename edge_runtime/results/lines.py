"""An answer as one line of JSON (docs/json.md), and what a later run must know of such a line."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.left_out import Reason
from edge_runtime.prediction import SCHEMA, Failure, Prediction
from edge_runtime.spec import ModelSpec

if TYPE_CHECKING:
    from edge_runtime.saliency.explanation import Explanation

HEAD = f'{{"schema": "{SCHEMA}", "image": "'.encode()
"""What every line begins with: a torn one is known by it."""


@dataclass(frozen=True)
class FileStamp:
    """Which content of a file: a file that was replaced has another stamp.

    Attributes:
        bytes: size.
        modified_ns: time of the last change, nanoseconds since 1970 (UTC), as the file system keeps it.
    """

    bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> FileStamp:
        """Return the stamp of the file at ``path`` (OSError if there is none)."""
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Identity:
    """What makes two pictures the same one: the path as it was given, and the stamp where one was taken."""

    image: str
    file: FileStamp | None = None


@dataclass(frozen=True)
class Origin:
    """The model and the thresholds that answered; answers of two origins cannot be compared."""

    model: str
    version: str
    contract: str
    cutoff: float
    confidence_floor: float

    @classmethod
    def of(cls, spec: ModelSpec) -> Origin:
        """Return the origin of every answer of a model."""
        policy = spec.policy
        return cls(spec.name, spec.version, spec.contract, policy.cutoff, policy.confidence_floor)

    def differences(self, other: Origin) -> list[str]:
        """Return ``name: here, not there`` for every part that differs."""
        mine, theirs = vars(self), vars(other)
        return [f"{name} {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]


@dataclass(frozen=True)
class Line:
    """What a line says of its picture; ``origin`` is None if it failed, ``left_out`` why it was not answered at all."""

    identity: Identity
    origin: Origin | None
    left_out: Reason | None = None


def to_line(answer: Prediction | Failure | Explanation, file: FileStamp | None = None) -> str:
    """Return the line without its end; in ASCII, which every terminal and path survives."""
    fields = answer.to_dict()
    if file is not None:
        fields["file"] = {"bytes": file.bytes, "modified_ns": file.modified_ns}
    return json.dumps(fields, allow_nan=False)


def from_line(line: bytes) -> Line:
    """Read a line that :func:`to_line` wrote.

    Raises:
        ValueError: it is no such line.
    """
    try:
        fields = json.loads(line)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']!r}")
        stamp = FileStamp(**fields["file"]) if "file" in fields else None
        identity = Identity(str(fields["image"]), stamp)
        if "left_out" in fields:
            return Line(identity, None, Reason(fields["left_out"]["reason"]))
        if "error" in fields:
            return Line(identity, None)
        return Line(identity, Origin(*(fields[name] for name in Origin.__dataclass_fields__)))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
