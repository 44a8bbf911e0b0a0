"""A results file takes up where it was left, and refuses what does not belong together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.decision import Decision, Reason, Verdict
from edge_runtime.errors import ImageNotFoundError, ResultsError
from edge_runtime.prediction import Failure, Prediction, Timing
from edge_runtime.results.file import Results
from edge_runtime.results.lines import FileStamp, Identity, from_line, to_line
from edge_runtime.spec import ModelSpec
from tests.benchmarks.system_4 import BUNDLE

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
STAMP = FileStamp(2310, 1_767_225_600_123_456_789)
NAMES = ["a.png", "sub/ü, 切片.png", 'quote".png', "line\nbreak.png", "latin\udce9.png"]

Answer = Callable[[str], Prediction]


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return find(BUNDLE).manifest.spec


@pytest.fixture
def answer(spec: ModelSpec) -> Answer:
    verdict = Verdict("benign", {"benign": 0.9, "malignant": 0.1}, 0.1, 0.9, Decision.NEGATIVE, Reason.BELOW_CUTOFF)
    policy = spec.policy

    def make(image: str) -> Prediction:
        thresholds = (policy.cutoff, policy.confidence_floor, spec.contract)
        return Prediction(image, spec.name, spec.version, verdict, *thresholds, "litert", "int8", Timing(1, 2, 3))

    return make


def failure(image: str) -> Failure:
    return Failure(image, ImageNotFoundError(f"{image}: found no file there, expected a picture. Check the path."))


@pytest.fixture
def place(tmp_path: Path, spec: ModelSpec, answer: Answer) -> Path:
    """A file of five answers with a failure between them."""
    path = tmp_path / "results.jsonl"
    with Results(path, spec, resume=False) as results:
        for name in NAMES[:3]:
            results.append(answer(name))
        results.append(failure("gone.png"))
        for name in NAMES[3:]:
            results.append(answer(name))
    return path


def names(path: Path) -> list[str]:
    return [json.loads(line)["image"] for line in path.read_text(encoding="ascii").splitlines()]


def test_lines_are_the_json_of_the_answers_and_fit_the_schema(place: Path, answer: Answer) -> None:
    lines = [json.loads(line) for line in place.read_text(encoding="ascii").splitlines()]
    assert lines[1] == answer(NAMES[1]).to_dict()
    assert lines[3] == failure("gone.png").to_dict()
    for line in lines:
        jsonschema.Draft202012Validator(SCHEMA).validate(line)


@pytest.mark.parametrize("file", [None, STAMP])
def test_a_line_read_back_tells_picture_and_origin(file: FileStamp | None, answer: Answer, spec: ModelSpec) -> None:
    for name in NAMES:
        good, bad = from_line(to_line(answer(name), file).encode()), from_line(to_line(failure(name), file).encode())
        assert good.identity == bad.identity == Identity(name, file)
        assert bad.origin is None
        assert good.origin is not None
        assert (good.origin.model, good.origin.cutoff) == (spec.name, spec.policy.cutoff)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(to_line(failure("a"), file)))


def test_an_existing_file_is_refused_and_not_altered(place: Path, spec: ModelSpec) -> None:
    before = place.read_bytes()
    with pytest.raises(ResultsError, match="--resume") as caught:
        Results(place, spec, resume=False)
    assert caught.value.code == "results_exists"
    assert place.read_bytes() == before


def test_resuming_knows_every_picture_and_which_failed(place: Path, spec: ModelSpec) -> None:
    with Results(place, spec, resume=True) as results:
        assert len(results) == 6
        assert all(Identity(name) in results for name in [*NAMES, "gone.png"])
        assert [name for name in [*NAMES, "gone.png"] if results.failed(Identity(name))] == ["gone.png"]
        assert Identity("./a.png") not in results, "a picture is the path as it was given"


def test_a_file_torn_at_any_byte_loses_the_torn_line_alone(place: Path, spec: ModelSpec, answer: Answer) -> None:
    whole = place.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(0, len(whole) + 1, 7):
        place.write_bytes(whole[:size])
        kept = max([end for end in ends if end <= size], default=0)
        with Results(place, spec, resume=True) as results:
            assert len(results) == sum(end <= size for end in ends)
            assert place.read_bytes() == whole[:kept], size
            results.append(answer("next.png"))
        assert names(place)[-1] == "next.png"


@pytest.mark.parametrize("tail", [b"\0" * 700, b'{"schema": "edge-predict/1", "image": "x' + b"\0" * 90])
def test_what_a_power_cut_leaves_is_cut_off(tail: bytes, place: Path, spec: ModelSpec) -> None:
    whole = place.read_bytes()
    place.write_bytes(whole + tail)
    Results(place, spec, resume=True).close()
    assert place.read_bytes() == whole


FOREIGN = {
    "text": b"my notes, with no end of line",
    "a list": b"[1]\n",
    "a number": b"7\n",
    "another schema": b'{"schema": "edge-predict/2", "image": "a.png"}\n',
    "no image": b'{"schema": "edge-predict/1", "error": {}}\n',
    "an odd stamp": b'{"schema": "edge-predict/1", "image": "a.png", "error": {}, "file": {"size": 1}}\n',
    "half an answer": b'{"schema": "edge-predict/1", "image": "a.png", "model": "idc-patch"}\n',
    "binary": bytes(range(255, -1, -1)) * 40,
    "no end": b"x" * (1 << 21),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("after_answers", [False, True])
def test_a_file_of_something_else_is_refused_and_not_altered(
    case: str, after_answers: bool, place: Path, spec: ModelSpec
) -> None:
    """A photograph named by mistake must not be cut to nothing as a torn line."""
    content = (place.read_bytes() if after_answers else b"") + FOREIGN[case]
    place.write_bytes(content)
    with pytest.raises(ResultsError) as caught:
        Results(place, spec, resume=True)
    assert caught.value.code == "results_damaged"
    assert f"line {7 if after_answers else 1} " in caught.value.message
    assert place.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "other-model"}, "model idc-patch, not other-model"),
        ({"version": "9.9.9"}, ", not 9.9.9"),
        ({"policy": "cutoff"}, "cutoff "),
        ({"steps": "fewer"}, "contract "),
    ],
)
def test_answers_of_another_model_are_refused_by_name(
    change: dict[str, object], word: str, place: Path, spec: ModelSpec
) -> None:
    before = place.read_bytes()
    if "policy" in change:
        change = {"policy": dataclasses.replace(spec.policy, cutoff=0.123)}
    if "steps" in change:
        change = {"steps": spec.steps[:-1]}
    with pytest.raises(ResultsError) as caught:
        Results(place, dataclasses.replace(spec, **change), resume=True)  # type: ignore[arg-type]
    assert caught.value.code == "results_other_model"
    assert word in caught.value.message
    assert place.read_bytes() == before


def test_a_watch_and_a_batch_do_not_share_a_file(place: Path, spec: ModelSpec, answer: Answer, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="written without --watch, expected with") as caught:
        Results(place, spec, resume=True, watching=True)
    assert caught.value.code == "results_other_kind"
    with Results(tmp_path / "watched", spec, resume=True, watching=True) as results:
        results.append(answer("a.png"), STAMP)
        assert Identity("a.png", STAMP) in results
        assert Identity("a.png", dataclasses.replace(STAMP, bytes=1)) not in results
    with pytest.raises(ResultsError, match="written with --watch, expected without"):
        Results(tmp_path / "watched", spec, resume=True)


def test_failures_are_forgotten_only_on_request(place: Path, spec: ModelSpec) -> None:
    with Results(place, spec, resume=True) as results:
        results.forget_failures()
        assert Identity("gone.png") not in results
        assert names(place) == NAMES
        before = place.stat()
        results.forget_failures()
        assert place.stat() == before, "a file without failures is left alone"
        results.append(failure("gone.png"))
    assert names(place) == [*NAMES, "gone.png"]


def test_a_refused_file_can_be_opened_by_another(place: Path, spec: ModelSpec) -> None:
    with pytest.raises(ResultsError):
        Results(place, dataclasses.replace(spec, version="9.9.9"), resume=True)
    with Results(place, spec, resume=True), pytest.raises(ResultsError) as caught:
        Results(place, spec, resume=True)
    assert caught.value.code == "results_in_use"
