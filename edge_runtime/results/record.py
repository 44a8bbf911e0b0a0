"""Parse and validate one line of a results file: checksum, keys, types and values."""

from __future__ import annotations

import enum
import re
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.decision.verdict import Decision, Reason, Site
from edge_runtime.errors import ManifestError
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.backends.registry import ran_by
from edge_runtime.inference.prediction import SCHEMA, BurntInText, Fallback, Fault
from edge_runtime.results.lines import FileStamp, ImageIdentity, Origin, is_whole
from edge_runtime.serialisation.records import parse_json


class LineError(ValueError):
    """The line is not valid for this release; the message describes the fault."""


class OtherReleaseError(LineError):
    """Another release wrote the line."""

    def __init__(self, schema: str) -> None:
        super().__init__(f"schema {schema}, not {SCHEMA}")
        self.schema = schema


class LineKind(enum.Enum):
    """The kinds of result that a line can contain."""

    ANSWER = "answered"
    FAILURE = "failed"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Line:
    """The parts of a line that a later run uses.

    Attributes:
        bundle: SHA-256 of the bundle's ``bundle.json``.
        time: as :func:`edge_runtime.inference.prediction.now` returns it.
        origin: model and thresholds of a prediction; None for other lines.
        said: decision and reason of a prediction, code of a failure, or reason of a left-out file.
    """

    kind: LineKind
    identity: ImageIdentity
    bundle: str
    time: str
    origin: Origin | None
    said: str


Test = Callable[[Any], bool]

_SHORT = reprlib.Repr()  # repr() fails on values as deeply nested as the parser accepts
_ANY_SCHEMA = re.compile(r"edge-predict/\d{1,9}")
_HEX_64 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{3}Z", re.ASCII)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_CODE = re.compile(r"(image|folder|dicom|region)(_[a-z0-9]+)*")
_OF_DECISION = {
    Reason.ABOVE_CUTOFF: (Decision.POSITIVE,),
    Reason.BELOW_CUTOFF: (Decision.NEGATIVE,),
    Reason.LOW_CONFIDENCE: (Decision.REFER,),
    Reason.UNFAMILIAR_INPUT: (Decision.REFER,),
    Reason.PRECISION_RERUN: tuple(Decision),
}
_PAIRS = frozenset((d.value, reason.value) for reason, decisions in _OF_DECISION.items() for d in decisions)
_BACKENDS = frozenset(ran_by(runtime, provider) for runtime in Runtime for provider in Provider) - {"auto"}


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isfinite(value) if isinstance(value, float) else type(value) is int and abs(value) < 1 << 63


def _whole(value: Any) -> bool:
    return type(value) is int


def _amount(value: Any) -> bool:
    return _number(value) and bool(value >= 0)


def _share(value: Any) -> bool:
    return _number(value) and bool(0 <= value <= 1)


def _scores(value: Any) -> bool:
    return isinstance(value, dict) and len(value) >= 2 and all(map(_share, value.values()))


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_number, value.values()))


def _like(pattern: re.Pattern[str]) -> Test:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _one_of(*values: str) -> Test:
    known = frozenset(values)
    return lambda value: isinstance(value, str) and value in known


def _object(required: dict[str, Test]) -> Test:
    def test(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and value.keys() == required.keys()
            and all(holds(value[key]) for key, holds in required.items())
        )

    return test


_COMMON: dict[str, Test] = {
    "schema": _one_of(SCHEMA),
    "image": _text,
    "time": _like(_TIME),
    "bundle": _like(_HEX_64),
    "check": _text,
}
_OPTIONAL: dict[str, Test] = {
    "file": _object({"bytes": lambda value: _whole(value) and value >= 0, "modified_ns": _whole}),
    "region": _object({"x": _number, "y": _number, "radius": lambda value: _amount(value) and value > 0}),
}
_HASHED: dict[str, Test] = {"sha256": _like(_HEX_64)}
_ANSWER: dict[str, Test] = {
    **_COMMON,
    **_HASHED,
    "model": _like(_NAME),
    "version": _like(_VERSION),
    "label": _text,
    "scores": _scores,
    "score": _share,
    "confidence": _share,
    "cutoff": _share,
    "confidence_floor": _share,
    "decision": _one_of(*(decision.value for decision in Decision)),
    "reason": _one_of(*(reason.value for reason in Reason)),
    "contract": _like(_HEX_64),
    "backend": _one_of(*_BACKENDS),
    "precision": _one_of(*(precision.value for precision in Precision)),
    "ms": _object({"decode": _amount, "prepare": _amount, "run": _amount}),
}
_ERROR = {"kind": _one_of(Fault.IMAGE.value), "code": _like(_CODE), "message": lambda value: _text(value) and value}
_KINDS: dict[LineKind, tuple[dict[str, Test], dict[str, Test]]] = {
    LineKind.ANSWER: (
        _ANSWER,
        {
            **_OPTIONAL,
            "familiarity": _amount,
            "fallback": _one_of(*(f.value for f in Fallback)),
            "site": _one_of(*(site.value for site in Site)),  # absent from lines of earlier builds
            "site_policy": _object({"name": _like(_NAME), "version": _whole, "sha256": _like(_HEX_64)}),
            "burnt_in_text": _one_of(*(each.value for each in BurntInText)),
            "statistics": _numbers,
        },
    ),
    LineKind.FAILURE: ({**_COMMON, "error": _object(_ERROR)}, {**_OPTIONAL, **_HASHED}),
    LineKind.LEFT_OUT: (
        {**_COMMON, "left_out": _object({"reason": lambda value: _text(value) and value})},
        {"file": _OPTIONAL["file"]},
    ),
}
"""Required and optional keys of each kind of line."""


def from_line(data: bytes) -> Line:
    """Parse a line from :func:`edge_runtime.results.lines.to_line`, with or without its end.

    Raises:
        OtherReleaseError: another release wrote the line.
        LineError: the line is invalid, or was changed after it was written.
    """
    fields = _parsed(data)
    schema = fields.get("schema")
    if schema != SCHEMA and isinstance(schema, str) and _ANY_SCHEMA.fullmatch(schema):
        raise OtherReleaseError(schema)
    kind = LineKind.FAILURE if "error" in fields else LineKind.LEFT_OUT if "left_out" in fields else LineKind.ANSWER
    required, optional = _KINDS[kind]
    for key in fields:
        test = required.get(key) or optional.get(key)
        if test is None:
            raise LineError(f"unknown key {key[:40]!r}")
        if not test(fields[key]):
            raise LineError(f"{key} has the invalid value {_SHORT.repr(fields[key])[:60]}")
    if missing := required.keys() - fields.keys():
        raise LineError(f"key {min(missing)!r} is missing")
    if not is_whole(data.rstrip(b"\n")):
        raise LineError("its checksum differs: the line was changed after it was written")
    stamp = FileStamp(**fields["file"]) if "file" in fields else None
    identity = ImageIdentity(fields["image"], stamp)
    said, origin = _said(kind, fields)
    return Line(kind, identity, fields["bundle"], fields["time"], origin, said)


def _said(kind: LineKind, fields: dict[str, Any]) -> tuple[str, Origin | None]:
    if kind is LineKind.FAILURE:
        return fields["error"]["code"], None
    if kind is LineKind.LEFT_OUT:
        return fields["left_out"]["reason"], None
    decision, reason = fields["decision"], fields["reason"]
    if not (
        (decision, reason) in _PAIRS
        and fields["label"] in fields["scores"]
        and (reason != Reason.PRECISION_RERUN.value or fields["precision"] == Precision.FLOAT32.value)
        and (reason == Reason.UNFAMILIAR_INPUT.value) == (fields.get("familiarity", 0) > 1)
        and ("site_policy" in fields) == (fields.get("site") == Site.CALIBRATED.value)
    ):
        raise LineError(f"decision {decision}, reason {reason} or site do not match the other values")
    return f"{decision} {reason}", Origin.of_line(fields)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        fields = parse_json(data, "line")
    except ManifestError:
        raise LineError("it is not JSON") from None
    if not isinstance(fields, dict):
        raise LineError("it is not a JSON object")
    return fields
