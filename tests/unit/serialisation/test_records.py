"""JSON at the door: read strictly, named by path, written in one form."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ManifestError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale
from edge_runtime.serialisation.records import ABSENT, canonical_json, from_dict, from_json, parse_json, to_dict

SPEC = ModelSpec(
    name="small",
    version="1.2.3",
    summary="50×50 px",
    steps=(Colour(ColourOrder.GREY), Resize(8, 9, Interpolation.AREA, PixelType.UINT8), Scale(255.0, -0.5)),
    labels=("no", "yes"),
    positive=("yes",),
    head=Head.SIGMOID,
    policy=DecisionPolicy(cutoff=0.1, confidence_floor=0.0),
)
# A change here changes what every exported file holds and every contract: it needs a new schema number.
CANONICAL = (
    '{"head":"sigmoid","labels":["no","yes"],"min_side_px":8,"name":"small",'
    '"policy":{"case":null,"confidence_floor":0.0,"cutoff":0.1,"temperature":1.0},"positive":["yes"],"steps":['
    '{"kind":"colour","order":"grey"},'
    '{"height_px":9,"interpolation":"area","kind":"resize","result":"uint8","width_px":8},'
    '{"divisor":255.0,"kind":"scale","offset":-0.5}],"summary":"50\\u00d750 px",'
    '"tolerance":{"float32_logit_max":0.0001,"int8_flips_per_1000":5.0,"int8_score_mean":0.02},"version":"1.2.3"}'
)


class Level(enum.Enum):
    ONE = 1
    TWO = "two"


@dataclasses.dataclass(frozen=True)
class Left:
    KIND: ClassVar[str] = "left"
    value: int


@dataclasses.dataclass(frozen=True)
class Right:
    KIND: ClassVar[str] = "right"
    value: str


@dataclasses.dataclass(frozen=True)
class Sample:
    flag: bool
    count: int
    ratio: float
    name: str
    level: Level
    side: Left | Right
    rows: tuple[tuple[int, ...], ...]
    counts: dict[str, int]
    note: str | None = None


GOOD: dict[str, Any] = {
    "flag": True,
    "count": 3,
    "ratio": 2,
    "name": "n",
    "level": 1,
    "side": {"kind": "right", "value": "r"},
    "rows": [[1, 2], []],
    "counts": {"a": 1},
}

# What is set in GOOD, and the words that the message must hold: the path, what was found, what was expected.
REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown key": ({"colour": 1}, ("doc:", "unknown key 'colour'", "expected count, counts")),
    "text for true": ({"flag": "true"}, ("doc.flag", "found 'true'", "true or false")),
    "one for true": ({"flag": 1}, ("doc.flag", "found 1", "true or false")),
    "true for a whole number": ({"count": True}, ("doc.count", "found True", "a whole number")),
    "a fraction for a whole number": ({"count": 3.0}, ("doc.count", "found 3.0", "a whole number")),
    "true for a number": ({"ratio": True}, ("doc.ratio", "found True", "a finite number")),
    "text for a number": ({"ratio": "2"}, ("doc.ratio", "found '2'", "a finite number")),
    "no number": ({"ratio": float("nan")}, ("doc.ratio", "found nan", "a finite number")),
    "infinity": ({"ratio": float("-inf")}, ("doc.ratio", "found -inf", "a finite number")),
    "a whole number beyond float64": ({"ratio": 10**400}, ("doc.ratio", "found 1000", "a finite number")),
    "null for text": ({"name": None}, ("doc.name", "found None", "a string")),
    "unknown enum": ({"level": "three"}, ("doc.level", "found 'three'", "one of 1, two")),
    "true for the enum value 1": ({"level": True}, ("doc.level", "found True")),
    "list for an enum": ({"level": []}, ("doc.level", "found []")),
    "unknown variant": ({"side": {"kind": "up"}}, ("doc.side", "found kind 'up'", "one of left, right")),
    "no variant": ({"side": {"value": 1}}, ("doc.side", "found kind None")),
    "list as variant": ({"side": {"kind": ["left"]}}, ("doc.side", "found kind ['left']")),
    "text for a variant": ({"side": "left"}, ("doc.side", "an object")),
    "fault inside a variant": ({"side": {"kind": "left", "value": "r"}}, ("doc.side.value", "a whole number")),
    "key of the other variant": ({"side": {"kind": "left", "value": 1, "x": 1}}, ("doc.side", "unknown key 'x'")),
    "object for a list": ({"rows": {}}, ("doc.rows", "found {}", "a list")),
    "text for a list": ({"rows": ["ab"]}, ("doc.rows[0]", "found 'ab'", "a list")),
    "fault deep in a list": ({"rows": [[1], [1, "x"]]}, ("doc.rows[1][1]", "found 'x'", "a whole number")),
    "list for an object": ({"counts": []}, ("doc.counts", "found []", "an object")),
    "fault in an object": ({"counts": {"a": None}}, ("doc.counts.a", "found None", "a whole number")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_its_path(case: str) -> None:
    change, words = REFUSED[case]
    with pytest.raises(ManifestError) as caught:
        from_dict(Sample, GOOD | change, "doc")
    missing = [word for word in words if word not in caught.value.message]
    assert not missing, f"{caught.value.message!r} lacks {missing}"
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Sample) if f.name != "note"])
def test_a_missing_key_is_named(name: str) -> None:
    with pytest.raises(ManifestError, match=f"doc: key '{name}' is missing"):
        from_dict(Sample, {key: value for key, value in GOOD.items() if key != name}, "doc")


@pytest.mark.parametrize("value", [None, [], "text", 3, True])
def test_no_object_is_no_record(value: object) -> None:
    with pytest.raises(ManifestError, match=r"doc: found .* expected an object"):
        from_dict(Sample, value, "doc")


def test_values_keep_their_types() -> None:
    sample = from_dict(Sample, GOOD)
    assert sample == Sample(True, 3, 2.0, "n", Level.ONE, Right("r"), ((1, 2), ()), {"a": 1})
    assert type(sample.ratio) is float
    assert from_dict(Sample, to_dict(sample)) == sample


@pytest.mark.parametrize("text", ["", "{", "nul", "[1,]", b"\xff\xfe\x00", "{'a': 1}", "1" * 5000])
def test_text_that_is_no_json_names_the_file(text: str | bytes) -> None:
    with pytest.raises(ManifestError, match=r"^spec\.json"):
        from_json(Sample, text, "spec.json")


TWICE = ['{"a":1,"a":1}', '{"b":{"a":1,"c":2,"a":3}}', '[[{"a":1,"\\u0061":2}]]']


@pytest.mark.parametrize("text", TWICE)
def test_a_key_that_stands_twice_is_no_json_here(text: str) -> None:
    with pytest.raises(ManifestError, match=r"^spec\.json: .*the key 'a' occurs twice in one object"):
        parse_json(text, "spec.json")
    assert parse_json('{"a":{"a":[{"a":1},{"a":1}]}}', "spec.json") == {"a": {"a": [{"a": 1}, {"a": 1}]}}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json_is_refused_wherever_it_stands(word: str) -> None:
    for text in (word, f"[{word}]", f'{{"measured":{{"x":{word}}}}}'):
        with pytest.raises(ManifestError, match=f"^doc: .*{word} is not a JSON number"):
            parse_json(text, "doc")


def test_a_fault_of_the_record_itself_is_named_by_its_path() -> None:
    value = to_dict(SPEC)
    value["steps"][1]["width_px"] = 0
    with pytest.raises(ManifestError, match=r"doc\.steps\[1\]: resize: found 0x9 px"):
        from_dict(ModelSpec, value, "doc")


@pytest.mark.parametrize("key", ["flag", "count", "ratio", "name", "level", "side", "rows", "counts", "other"])
def test_nesting_of_any_depth_is_a_manifest_error(key: str) -> None:
    """The parser, the reader and the message each have their own limit: the depths walk through all."""
    rest = json.dumps({k: v for k, v in GOOD.items() if k != key})[1:-1]
    for opening, closing in (("[", "]"), ('{"kind":', "}")):
        for depth in (9, *range(500, 1001, 7), 20_000, 200_000):
            nested = opening * depth + "1" + closing * depth
            with pytest.raises(ManifestError):
                from_json(Sample, f'{{{rest},"{key}":{nested}}}', "doc")


def test_a_spec_reads_back_equal() -> None:
    assert from_json(ModelSpec, canonical_json(SPEC), "doc") == SPEC
    assert from_dict(ModelSpec, to_dict(SPEC)) == SPEC


def test_a_manifest_reads_back_equal(phantom_bundle: Path) -> None:
    text = (phantom_bundle / "bundle.json").read_text(encoding="utf-8")
    manifest = from_json(Manifest, text, "bundle.json")
    assert from_json(Manifest, canonical_json(manifest), "again") == manifest
    assert to_dict(manifest) == json.loads(text)


def test_the_canonical_form_is_pinned() -> None:
    assert canonical_json(SPEC) == CANONICAL


def test_the_canonical_form_does_not_depend_on_the_order_of_keys() -> None:
    value = copy.deepcopy(to_dict(SPEC))
    backwards = dict(reversed(value.items()))
    assert canonical_json(backwards) == CANONICAL


def test_the_canonical_form_has_no_word_for_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": float("nan")})


@dataclasses.dataclass(frozen=True)
class Grown:
    name: str
    note: str | None = None
    new: Left | None = dataclasses.field(default=None, metadata=ABSENT)


def test_a_field_that_may_be_absent_is_left_out_while_it_is_none_and_no_other_is() -> None:
    assert to_dict(Grown("n")) == {"name": "n", "note": None}
    assert to_dict(Grown("n", new=Left(3))) == {"name": "n", "note": None, "new": {"kind": "left", "value": 3}}
    for record in (Grown("n"), Grown("n", new=Left(3))):
        assert from_dict(Grown, to_dict(record)) == record
    assert from_dict(Grown, {"name": "n", "new": None}) == Grown("n")
