"""One result as a JSON line with a checksum (docs/reference/json.md), and the identity of its image and model."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from edge_runtime.inference.prediction import SCHEMA

if TYPE_CHECKING:
    from edge_runtime.predictor import Predictor

HEAD = f'{{"schema": "{SCHEMA}", "image": "'.encode()
"""The start of every line. It identifies an incomplete line."""
CHECK_DIGITS = 16
_TAIL = b', "check": "%s"}'
_TAIL_BYTES = len(_TAIL % (b"0" * CHECK_DIGITS))


@dataclass(frozen=True)
class FileStamp:
    """Size and time of last change of a file. A replaced file has another stamp.

    Attributes:
        bytes: size of the file.
        modified_ns: time of the last change in nanoseconds since 1970 (UTC), from the file system.
    """

    bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> FileStamp:
        """Return the stamp of the file at ``path``; raise OSError if there is none."""
        status = os.stat(path)
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class ImageIdentity:
    """Identity of an image: its path as given, and its stamp if one was taken. Equal identities are one image."""

    image: str
    file: FileStamp | None = None


@dataclass(frozen=True)
class Origin:
    """The model and the thresholds of a prediction. Predictions of different origins cannot be compared.

    Attributes:
        contract: SHA-256 of the preprocessing steps.
        bundle: SHA-256 of ``bundle.json``.
        site_policy: SHA-256 of the site policy; None without one.
    """

    model: str
    version: str
    contract: str
    cutoff: float
    confidence_floor: float
    bundle: str
    site_policy: str | None = None

    @classmethod
    def of(cls, predictor: Predictor) -> Origin:
        """Return the origin of all predictions of a predictor."""
        spec, policy = predictor.spec, predictor.spec.policy
        site = None if predictor.site_policy is None else predictor.site_policy.sha256
        return cls(
            spec.name, spec.version, spec.contract, policy.cutoff, policy.confidence_floor, predictor.digest, site
        )

    @classmethod
    def of_line(cls, fields: dict[str, Any]) -> Origin:
        """Return the origin that the line of a prediction names."""
        site = fields.get("site_policy", {}).get("sha256")
        names = [name for name in cls.__dataclass_fields__ if name != "site_policy"]
        return cls(**{name: fields[name] for name in names}, site_policy=site)

    def differences(self, other: Origin) -> list[str]:
        """Return ``name VALUE, not OTHER_VALUE`` for every attribute that differs."""
        mine, theirs = vars(self), vars(other)
        return [f"{name} {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]


class Written(Protocol):
    """A result with a JSON form: a prediction, a failure, a left-out file, an explanation or a slide."""

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""


def to_line(answer: Written, file: FileStamp | None = None) -> str:
    """Return the JSON line without its end, in ASCII."""
    fields = answer.to_dict()
    if file is not None:
        fields["file"] = {"bytes": file.bytes, "modified_ns": file.modified_ns}
    return line_of(fields)


def line_of(fields: dict[str, object]) -> str:
    """Return the JSON line of these keys, in their order.

    The last key is ``check``: the first 16 hexadecimal digits of the SHA-256 of the line without that key.
    """
    text = json.dumps(fields, allow_nan=False)
    return text[:-1] + (_TAIL % _check_of(text.encode("ascii"))).decode("ascii")


def to_slide_line(answer: Written) -> str:
    """Return the JSON line of a slide's result or failure, as ``--tiles --json`` prints it: without a checksum."""
    return json.dumps(answer.to_dict())


def is_whole(line: bytes) -> bool:
    """Return whether the checksum matches a line (without its end), so that it is unchanged since :func:`to_line`."""
    return line[-_TAIL_BYTES:] == _TAIL % _check_of(line[:-_TAIL_BYTES] + b"}")


def _check_of(text: bytes) -> bytes:
    return sha256(text).hexdigest()[:CHECK_DIGITS].encode("ascii")
