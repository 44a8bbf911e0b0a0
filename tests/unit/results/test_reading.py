"""Every key of a line is checked: what the schema of docs/ refuses is refused here, and what it takes is taken."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from edge_runtime.images.region import Region
from edge_runtime.inference.prediction import LeftOutLine
from edge_runtime.results.lines import FileStamp, ImageIdentity, to_line
from edge_runtime.results.record import LineError, LineKind, OtherReleaseError, from_line
from tests.places import ROOT
from tests.unit.results.made import ORIGIN, STAMP, answer, failure

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
VALID = jsonschema.Draft202012Validator(SCHEMA)
NAMES = ["a.png", "sub/ü, 切片.png", 'quote".png', "line\nbreak.png", "latin\udce9.png", '", "check": "0']
LINES = {
    "answer": json.loads(to_line(answer("a.png"), STAMP)),
    "failure": json.loads(to_line(failure("a.png"), STAMP)),
    "left out": json.loads(to_line(LeftOutLine("a.png", "hidden", "b" * 64), STAMP)),
}
ODD = (None, True, 7, -1, 1.5, math.nan, math.inf, 10**400, "", "x", "ABOVE_CUTOFF", [], {}, [1], {"x": 1}, [[]] * 3)


def sealed(fields: dict[str, Any]) -> bytes:
    """The line as a forger writes it: with the checksum that fits, computed as docs/reference/json.md says."""
    fields = {key: value for key, value in fields.items() if key != "check"}
    text = json.dumps(fields)
    check = hashlib.sha256(text.encode()).hexdigest()[:16]
    return (text[:-1] + f', "check": "{check}"}}').encode()


@pytest.mark.parametrize("file", [None, STAMP])
def test_a_line_read_back_tells_image_origin_and_kind(file: FileStamp | None) -> None:
    for name in NAMES:
        good, bad = from_line(to_line(answer(name), file).encode()), from_line(to_line(failure(name), file).encode())
        left = from_line(to_line(LeftOutLine(name, "hidden", "b" * 64), file).encode() + b"\n")
        assert good.identity == bad.identity == left.identity == ImageIdentity(name, file)
        assert (good.kind, bad.kind, left.kind) == (LineKind.ANSWER, LineKind.FAILURE, LineKind.LEFT_OUT)
        assert (good.origin, bad.origin, left.origin) == (ORIGIN, None, None)
        assert (good.said, bad.said, left.said) == ("NEGATIVE BELOW_CUTOFF", "image_not_found", "hidden")


def test_the_checksum_is_the_one_that_the_docs_describe() -> None:
    for line in LINES.values():
        assert sealed(line).decode() == json.dumps(line)


def test_the_check_in_the_docs_tells_a_changed_line() -> None:
    docs = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(def is_whole.*?)```", docs, re.DOTALL)
    known: dict[str, Any] = {"hashlib": hashlib}
    exec(code, known)
    line = to_line(answer(NAMES[-1]), STAMP).encode()
    assert known["is_whole"](line)
    for position in range(0, len(line), 7):
        assert not known["is_whole"](line[:position] + b"~" + line[position + 1 :]), position


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key of a line, also those inside objects."""
    if not isinstance(value, dict):
        return []
    return [found for key in value for found in [(*way, key), *places(value[key], (*way, key))]]


def changed(line: dict[str, Any], way: tuple[Any, ...], change: Callable[[dict[str, Any], Any], object]) -> Any:
    copy = json.loads(json.dumps(line))
    inside = copy
    for key in way[:-1]:
        inside = inside[key]
    change(inside, way[-1])
    return copy


def refused(fields: Any) -> bool:
    try:
        from_line(sealed(fields))
    except LineError:
        return True
    return False


@pytest.mark.parametrize("kind", LINES)
def test_odd_values_are_refused_as_the_schema_refuses_them(kind: str) -> None:
    """The schema is the oracle; it cannot know that a label is one of the scores, that NaN is no JSON, or all codes."""
    tried = refusals = 0
    for way in places(LINES[kind]):
        for odd in ODD:
            line = changed(LINES[kind], way, lambda inside, key, odd=odd: inside.update({key: odd}))
            tried += 1
            if way == ("check",):
                continue
            plain = "NaN" not in json.dumps(line) and "Infinity" not in json.dumps(line)
            if not plain or not VALID.is_valid(line):
                assert refused(line), (way, odd)
                refusals += 1
            elif way not in (("label",), ("scores",)) and odd != 10**400:
                assert not refused(line), (way, odd)
    assert refusals > tried // 2


@pytest.mark.parametrize("kind", LINES)
def test_a_missing_key_a_key_too_many_and_a_key_twice_are_refused(kind: str) -> None:
    for way in places(LINES[kind]):
        if way not in (("file",), ("sha256",) if kind == "failure" else ("file",)):
            line = changed(LINES[kind], way, lambda inside, key: inside.pop(key))
            assert way == ("check",) or refused(line) == (not VALID.is_valid(line)), way
    assert refused(LINES[kind] | {"extra": 1})
    text = json.dumps({key: value for key, value in LINES[kind].items() if key != "check"})
    twice = text.replace('{"schema"', '{"image": "b.png", "schema"', 1)
    check = hashlib.sha256(twice.encode()).hexdigest()[:16]
    with pytest.raises(LineError, match="not JSON"):
        from_line(f'{twice[:-1]}, "check": "{check}"}}'.encode())


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "POSITIVE"},
        {"reason": "ABOVE_CUTOFF"},
        {"reason": "LOW_CONFIDENCE"},
        {"reason": "PRECISION_RERUN"},  # of the int8 file
        {"reason": "UNFAMILIAR_INPUT", "decision": "REFER"},  # without a distance
        {"familiarity": 1.5},
        {"label": "other"},
    ],
)
def test_values_that_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    assert refused(LINES["answer"] | change)
    assert not refused(LINES["answer"] | {"familiarity": 0.5})
    assert not refused(LINES["answer"] | {"reason": "PRECISION_RERUN", "precision": "float32"})


def test_a_fault_of_the_machine_is_no_line_of_a_results_file() -> None:
    error = {"kind": "machine", "code": "machine_io", "message": "m"}
    assert VALID.is_valid(LINES["failure"] | {"error": error})
    assert refused(LINES["failure"] | {"error": error})
    assert refused(LINES["failure"] | {"error": error | {"kind": "image"}})


def test_lines_from_before_the_key_site_are_read_and_tell_the_same() -> None:
    line = LINES["answer"]
    before = {key: value for key, value in line.items() if key != "site"}
    assert line["site"] == "uncalibrated" and VALID.is_valid(before)
    assert from_line(sealed(before)) == from_line(sealed(line))
    policy = {"name": "some-site", "version": 3, "sha256": "d" * 64}
    assert not refused(line | {"site": "calibrated", "site_policy": policy})
    assert refused(line | {"site": "calibrated"}) and refused(line | {"site_policy": policy})
    assert refused(line | {"site": "calibrated", "site_policy": policy | {"version": "3"}})
    assert refused(line | {"site": "Calibrated"})


def test_regions_are_read() -> None:
    fields = LINES["answer"] | {"region": Region(1.5, 2.0, 3.0).to_dict()}
    assert not refused(fields)
    assert refused(fields | {"region": {"x": 1, "y": 2}})


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"[" * 100_000, b'"x"', b"7", b"\xff", b'{"schema": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(LineError):
        from_line(data)


@pytest.mark.parametrize("schema", ["edge-predict/1", "edge-predict/3"])
def test_lines_of_other_releases_are_told_apart(schema: str) -> None:
    with pytest.raises(OtherReleaseError) as caught:
        from_line(json.dumps(LINES["answer"] | {"schema": schema}).encode())
    assert caught.value.schema == schema
