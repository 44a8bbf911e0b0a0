"""Convert frozen dataclasses to JSON and back.

Reading is strict: a missing key, an unknown key, a wrong type or an unknown variant is an error that contains the path
of the value in the document. Fields may be ``str``, ``int``, ``float``, ``bool``, an ``Enum``, another record,
``X | None``, ``tuple[X, ...]``, ``dict[str, X]``, or a union of records with different values of ``KIND``. In a union
with records that have ``CHOSEN_BY``, a key and a value, the record with that value is read, otherwise the first one.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from edge_runtime.errors import ManifestError
from edge_runtime.platform.atomic_files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

Record = TypeVar("Record")
ABSENT: Mapping[str, bool] = {"absent": True}
"""Metadata of a field that is left out of JSON if it is None: ``field(default=None, metadata=ABSENT)``. Documents from
before the field was added keep their bytes."""

_NONE = type(None)
_SHORT = reprlib.Repr()  # repr() fails on values that are nested as deeply as the parser accepts
_SHORT.maxstring = 60


def to_dict(record: Any) -> Any:
    """Return ``record`` as plain JSON values; enums become their values, tuples become lists.

    A field with :data:`ABSENT` is left out if it is None.
    """
    if dataclasses.is_dataclass(record):
        kind = {"kind": record.KIND} if hasattr(record, "KIND") else {}
        fields = (f for f in dataclasses.fields(record) if _is_written(f, record))
        return kind | {f.name: to_dict(getattr(record, f.name)) for f in fields}
    if isinstance(record, enum.Enum):
        return record.value
    if isinstance(record, tuple | list):
        return [to_dict(item) for item in record]
    if isinstance(record, dict):
        return {key: to_dict(value) for key, value in record.items()}
    return record


def _is_written(field: dataclasses.Field[Any], record: Any) -> bool:
    return not (field.metadata.get("absent") and getattr(record, field.name) is None)


def canonical_json(record: Any) -> str:
    """Return the canonical JSON text of ``record``: sorted keys, no spaces, ASCII, shortest floats."""
    return json.dumps(to_dict(record), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def write_record(path: Path, record: Any) -> None:
    """Write a record as indented JSON, in one step.

    Raises:
        OSError: see :func:`write_whole`.
    """
    text = json.dumps(to_dict(record), indent=2, ensure_ascii=False) + "\n"
    write_whole(path, text.encode("utf-8"))


def from_dict(kind: type[Record], value: Any, where: str = "document") -> Record:
    """Build a ``kind`` from plain JSON values.

    Raises:
        ManifestError: a key is unknown or missing, or a value has the wrong type. The message contains ``where`` and
            the path of the value.
    """
    return typing.cast("Record", _read(kind, value, where))


def from_json(kind: type[Record], text: str | bytes, where: str) -> Record:
    """Parse ``text`` and build a ``kind``; ``where`` names the file in errors."""
    return from_dict(kind, parse_json(text, where), where)


def parse_json(text: str | bytes, where: str) -> Any:
    """Return plain JSON values; ``where`` names the file in errors.

    Text is rejected if RFC 8259 leaves its meaning open: equal keys in one object, and ``NaN`` and ``Infinity``.

    Raises:
        ManifestError: the text is not valid JSON, or an object contains a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: expected JSON, found text that does not parse: {error}.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's keys and values; raise ValueError if a key occurs twice."""
    unique = dict(pairs)
    if len(unique) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {_SHORT.repr(twice)} occurs twice in one object")
    return unique


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


def _read(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(typing.get_args(kind), value, where)
    if origin is tuple:
        return _read_list(typing.get_args(kind)[0], value, where)
    if origin is dict:
        _expect(isinstance(value, dict), "an object", value, where)
        return {k: _read(typing.get_args(kind)[1], v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return _read_record(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _read_enum(kind, value, where)
    return _read_plain(kind, value, where)


def _read_list(item: Any, value: Any, where: str) -> tuple[Any, ...]:
    _expect(isinstance(value, list), "a list", value, where)
    if item is float and all(type(entry) is float and math.isfinite(entry) for entry in value):
        return tuple(value)  # a spec has hundreds of numbers
    return tuple(_read(item, entry, f"{where}[{i}]") for i, entry in enumerate(value))


def _read_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if _NONE in kinds:
        if value is None:
            return None
        kinds = tuple(k for k in kinds if k is not _NONE)
    if len(kinds) == 1:
        return _read(kinds[0], value, where)
    if any(hasattr(k, "CHOSEN_BY") for k in kinds):
        return _read_record(_chosen(kinds, value), value, where)
    variants = {k.KIND: k for k in kinds}
    found = value.get("kind") if isinstance(value, dict) else value
    if not isinstance(found, str) or found not in variants:
        raise ManifestError(
            f"{where}: found kind {_SHORT.repr(found)}, expected one of {', '.join(sorted(variants))}. "
            "A newer release of edge-predict may support it."
        )
    return _read_record(variants[found], value, where)


def _chosen(kinds: tuple[Any, ...], value: Any) -> Any:
    """Return the record type whose ``CHOSEN_BY`` names a key and the value that it has here, else the first type."""
    found = value if isinstance(value, dict) else {}
    chosen = (k for k in kinds if hasattr(k, "CHOSEN_BY") and found.get(k.CHOSEN_BY[0]) == k.CHOSEN_BY[1])
    return next(chosen, kinds[0])


def _read_record(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), "an object", value, where)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    known = set(fields) | ({"kind"} if hasattr(kind, "KIND") else set())
    unknown = sorted(set(value) - known)
    if unknown:
        raise ManifestError(
            f"{where}: found unknown key {unknown[0]!r}, expected {', '.join(sorted(known))}. "
            "Correct the key, or update edge-predict if a newer release wrote this."
        )
    missing = sorted(name for name, f in fields.items() if name not in value and _required(f))
    if missing:
        raise ManifestError(f"{where}: key {missing[0]!r} is missing. Add it.")
    hints = _hints(kind)
    _expect_numbers(kind, hints, value, where)
    read = {name: _read(hints[name], value[name], f"{where}.{name}") for name in fields if name in value}
    try:
        return kind(**read)
    except ValueError as error:
        raise ManifestError(f"{where}: {error}") from None


def _expect_numbers(kind: Any, hints: dict[str, Any], value: dict[str, Any], where: str) -> None:
    """Reject a list in place of a number, with the hint in ``LISTED`` of the record type, if it has one."""
    listed = [name for name in hints if hints[name] is float and isinstance(value.get(name), list)]
    if listed and hasattr(kind, "LISTED"):
        shown = _SHORT.repr(value[listed[0]])
        raise ManifestError(f"{where}.{listed[0]}: found {shown}, expected a finite number. {kind.LISTED}")


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    """Return a record's field types; cached, as evaluating them is slow and a manifest contains many records."""
    return typing.get_type_hints(kind)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read_enum(kind: type[enum.Enum], value: Any, where: str) -> enum.Enum:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    choices = ", ".join(str(member.value) for member in kind)
    raise ManifestError(f"{where}: found {_SHORT.repr(value)}, expected one of {choices}.")


def _read_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _expect(number and _finite(value), "a finite number", value, where)
        return float(value)
    _expect(type(value) is kind, {str: "a string", int: "a whole number", bool: "true or false"}[kind], value, where)
    return value


def _finite(number: float) -> bool:
    """Return whether the number is a finite float64; a whole number in JSON may be too large for one."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _expect(holds: bool, expected: str, value: Any, where: str) -> None:
    if not holds:
        raise ManifestError(f"{where}: found {_SHORT.repr(value)[:60]}, expected {expected}.")
