"""An answer as one line of JSON (docs/reference/json.md) that carries its own checksum, and whose answer it is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from edge_runtime.inference.prediction import SCHEMA, Failure, LeftOutLine, Prediction

if TYPE_CHECKING:
    from edge_runtime.explain.explanation import Explanation
    from edge_runtime.predictor import Predictor

HEAD = f'{{"schema": "{SCHEMA}", "image": "'.encode()
"""What every line begins with: a torn one is known by it."""
CHECK_DIGITS = 16
_TAIL = b', "check": "%s"}'
_TAIL_BYTES = len(_TAIL % (b"0" * CHECK_DIGITS))


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
class ImageIdentity:
    """What makes two images the same one: the path as it was given, and the stamp where one was taken."""

    image: str
    file: FileStamp | None = None


@dataclass(frozen=True)
class Origin:
    """The model and the thresholds that answered; answers of two origins cannot be compared.

    Attributes:
        bundle: SHA-256 of ``bundle.json``.
    """

    model: str
    version: str
    contract: str
    cutoff: float
    confidence_floor: float
    bundle: str

    @classmethod
    def of(cls, predictor: Predictor) -> Origin:
        """Return the origin of every answer of a predictor."""
        spec, policy = predictor.spec, predictor.spec.policy
        return cls(spec.name, spec.version, spec.contract, policy.cutoff, policy.confidence_floor, predictor.digest)

    def differences(self, other: Origin) -> list[str]:
        """Return ``name here, not there`` for every part that differs."""
        mine, theirs = vars(self), vars(other)
        return [f"{name} {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]


def to_line(answer: Prediction | Failure | LeftOutLine | Explanation, file: FileStamp | None = None) -> str:
    """Return the line without its end; in ASCII, which every terminal and path survives.

    Its last key is ``check``: the first 16 hexadecimal digits of the SHA-256 of the line as it is without that key.
    """
    fields = answer.to_dict()
    if file is not None:
        fields["file"] = {"bytes": file.bytes, "modified_ns": file.modified_ns}
    text = json.dumps(fields, allow_nan=False)
    return text[:-1] + (_TAIL % _check_of(text.encode("ascii"))).decode("ascii")


def is_whole(line: bytes) -> bool:
    """Tell whether a line, without its end, is the very one that :func:`to_line` returned."""
    return line[-_TAIL_BYTES:] == _TAIL % _check_of(line[:-_TAIL_BYTES] + b"}")


def _check_of(text: bytes) -> bytes:
    return sha256(text).hexdigest()[:CHECK_DIGITS].encode("ascii")
