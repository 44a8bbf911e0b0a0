"""A results file takes up where it was left, and refuses what does not belong together."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest

from edge_runtime.errors import MachineError, ResultsError
from edge_runtime.inference.prediction import Failure
from edge_runtime.results.file import Results
from edge_runtime.results.lines import ImageIdentity, to_line
from tests.places import ROOT
from tests.unit.results.made import ORIGIN, STAMP, answer, failure, refusal

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
NAMES = ["a.png", "sub/ü, 切片.png", 'quote".png', "line\nbreak.png", "latin\udce9.png"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file of five answers with a failure between them."""
    path = tmp_path / "results.jsonl"
    with Results(path, ORIGIN, resume=False) as results:
        for name in NAMES[:3]:
            results.append(answer(name))
        results.append(failure("gone.png"))
        for name in NAMES[3:]:
            results.append(answer(name))
    return path


def names(path: Path) -> list[str]:
    return [json.loads(line)["image"] for line in path.read_text(encoding="ascii").splitlines()]


def test_lines_are_the_json_of_the_answers_and_fit_the_schema(place: Path) -> None:
    lines = [json.loads(line) for line in place.read_text(encoding="ascii").splitlines()]
    for line, expected in ((lines[1], answer(NAMES[1])), (lines[3], failure("gone.png"))):
        assert len(line.pop("check")) == 16
        assert line == expected.to_dict() | {"time": line["time"]}
    for line in lines:
        jsonschema.Draft202012Validator(SCHEMA).validate(line)


def test_an_existing_file_is_refused_and_not_altered(place: Path) -> None:
    before = place.read_bytes()
    with pytest.raises(ResultsError, match="--resume") as caught:
        Results(place, ORIGIN, resume=False)
    assert refusal(caught.value, place) == "results_exists"
    assert place.read_bytes() == before


def test_resuming_knows_every_image_and_which_failed(place: Path) -> None:
    with Results(place, ORIGIN, resume=True) as results:
        assert len(results) == 6
        assert all(ImageIdentity(name) in results for name in [*NAMES, "gone.png"])
        assert [name for name in [*NAMES, "gone.png"] if results.failed(ImageIdentity(name))] == ["gone.png"]
        assert ImageIdentity("./a.png") not in results, "an image is the path as it was given"


def test_a_file_torn_at_any_byte_loses_the_torn_line_alone(place: Path) -> None:
    whole = place.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(0, len(whole) + 1, 7):
        place.write_bytes(whole[:size])
        kept = max([end for end in ends if end <= size], default=0)
        with Results(place, ORIGIN, resume=True) as results:
            assert len(results) == sum(end <= size for end in ends)
            assert place.read_bytes() == whole[:kept], size
            results.append(answer("next.png"))
        assert names(place)[-1] == "next.png"


TAILS = {
    "zeros": b"\0" * 700,
    "a torn line that ends in zeros": b'{"schema": "edge-predict/2", "image": "x' + b"\0" * 90,
    "text": b"my notes, with no end of line",
    "a list": b"[1]\n",
    "two lines of nothing": b"7\n\n",
    "binary": bytes(range(255, -1, -1)) * 40,
    "no end": b"x" * (1 << 21),
    "a changed line": to_line(answer("b.png")).replace("0.9", "0.8").encode() + b"\n",
}


@pytest.mark.parametrize("case", TAILS)
def test_a_damaged_end_is_set_aside_and_told(case: str, place: Path) -> None:
    whole, told = place.read_bytes(), list[str]()
    for number in (1, 2):
        place.write_bytes(whole + TAILS[case])
        with Results(place, ORIGIN, resume=True, tell=told.append) as results:
            assert len(results) == 6
        assert place.read_bytes() == whole
        assert place.with_name(f"{place.name}.damaged-{number}").read_bytes() == TAILS[case]
    assert ["line 7" in text and ".damaged-" in text for text in told] == [True, True]


@pytest.mark.parametrize("case", TAILS)
def test_damage_before_whole_lines_is_refused_by_its_number_and_not_altered(case: str, place: Path) -> None:
    first, *rest = place.read_bytes().splitlines(keepends=True)
    content = first + TAILS[case].rstrip(b"\n") + b"\n" + b"".join(rest)
    place.write_bytes(content)
    with pytest.raises(ResultsError, match="line 2 is not a valid result") as caught:
        Results(place, ORIGIN, resume=True)
    assert refusal(caught.value, place) == "results_damaged"
    assert place.read_bytes() == content
    assert [path.name for path in place.parent.iterdir()] == [place.name]


@pytest.mark.parametrize("case", [case for case in TAILS if "zeros" not in case])
def test_a_file_that_never_held_a_line_is_refused_and_not_altered(case: str, place: Path) -> None:
    """A photograph named by mistake must not be taken for a torn line."""
    place.write_bytes(TAILS[case])
    with pytest.raises(ResultsError, match="line 1 is not a valid result") as caught:
        Results(place, ORIGIN, resume=True)
    assert refusal(caught.value, place) == "results_damaged"
    assert place.read_bytes() == TAILS[case]


def test_a_file_of_an_earlier_release_is_refused_by_name(place: Path) -> None:
    content = place.read_bytes() + b'{"schema": "edge-predict/1", "image": "a.png", "error": {}}\n'
    place.write_bytes(content)
    with pytest.raises(ResultsError, match=r"line 7 was written by another release \(edge-predict/1") as caught:
        Results(place, ORIGIN, resume=True)
    assert refusal(caught.value, place) == "results_other_release"
    assert place.read_bytes() == content


def test_one_changed_byte_anywhere_is_noticed(place: Path) -> None:
    whole = place.read_bytes()
    for position in range(0, whole.rindex(b"\n", 0, -1), 41):
        place.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ResultsError):
            Results(place, ORIGIN, resume=True)


def test_a_fault_of_the_machine_never_becomes_a_line(place: Path) -> None:
    before = place.read_bytes()
    with Results(place, ORIGIN, resume=True) as results, pytest.raises(ValueError, match="machine_io"):
        results.append(Failure("z.png", MachineError("z.png: the machine failed.")))
    assert place.read_bytes() == before


def test_a_file_that_was_left_out_has_one_line_and_no_answer(place: Path) -> None:
    for _ in range(2):
        with Results(place, ORIGIN, resume=True) as results:
            results.leave_out("notes.txt", "no image")
            assert ImageIdentity("notes.txt") not in results
            assert len(results) == 6
    line = json.loads(place.read_text(encoding="ascii").splitlines()[-1])
    jsonschema.Draft202012Validator(SCHEMA).validate(line)
    assert (line["image"], line["left_out"]) == ("notes.txt", {"reason": "no image"})
    assert names(place).count("notes.txt") == 1
    with Results(place, ORIGIN, resume=True) as results:
        results.append(answer("notes.txt"))
        assert ImageIdentity("notes.txt") in results


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": "other-model"}, "model some-model, not other-model"),
        ({"version": "9.9.9"}, "version 1.0.0, not 9.9.9"),
        ({"cutoff": 0.123}, "cutoff 0.5, not 0.123"),
        ({"contract": "d" * 64}, "contract ccc"),
        ({"bundle": "a" * 64}, "bundle bbb"),
    ],
)
def test_answers_of_another_model_are_refused_by_name(change: dict[str, str], word: str, place: Path) -> None:
    before = place.read_bytes()
    with pytest.raises(ResultsError) as caught:
        Results(place, dataclasses.replace(ORIGIN, **change), resume=True)  # type: ignore[arg-type]
    assert refusal(caught.value, place) == "results_other_model"
    assert word in caught.value.message
    assert place.read_bytes() == before


def test_a_failure_of_another_bundle_is_refused_too(tmp_path: Path) -> None:
    with Results(tmp_path / "r", ORIGIN, resume=False) as results:
        results.append(failure("gone.png"))
    with pytest.raises(ResultsError, match="has bundle bbb"):
        Results(tmp_path / "r", dataclasses.replace(ORIGIN, bundle="a" * 64), resume=True)


def test_lines_of_a_watch_are_refused(tmp_path: Path) -> None:
    (tmp_path / "watched").write_text(to_line(answer("a.png"), STAMP) + "\n", encoding="ascii")
    with pytest.raises(ResultsError, match="written with --watch, expected without") as caught:
        Results(tmp_path / "watched", ORIGIN, resume=True)
    assert refusal(caught.value, tmp_path / "watched") == "results_other_kind"


def test_failures_are_forgotten_only_on_request(place: Path) -> None:
    with Results(place, ORIGIN, resume=True) as results:
        results.forget_failures()
        assert ImageIdentity("gone.png") not in results
        assert names(place) == NAMES
        before = place.stat()
        results.forget_failures()
        assert place.stat() == before, "a file without failures is left alone"
        results.append(failure("gone.png"))
    assert names(place) == [*NAMES, "gone.png"]


def test_a_refused_file_can_be_opened_by_another(place: Path) -> None:
    with pytest.raises(ResultsError):
        Results(place, dataclasses.replace(ORIGIN, version="9.9.9"), resume=True)
    with Results(place, ORIGIN, resume=True), pytest.raises(ResultsError) as caught:
        Results(place, ORIGIN, resume=True)
    assert refusal(caught.value, place) == "results_in_use"
