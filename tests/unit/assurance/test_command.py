"""``edge-predict accept``: protocol first, answers that survive, a signed report, and changes refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.assurance import answering as module
from edge_runtime.assurance.audit.entry import from_line
from edge_runtime.assurance.audit.events import Started, Stopped, Summary
from edge_runtime.cli.accept import command
from edge_runtime.errors import MachineError
from edge_runtime.inference.prediction import Failure
from edge_runtime.predictor import Predictor
from tests.fixtures.commands import Called, _caller
from tests.unit.assurance.conftest import Rows, WriteCases


@pytest.fixture
def edge_accept() -> Called:
    return _caller(command)


@pytest.fixture
def asked(site: Path, rows: Rows, write_cases: WriteCases, phantom_bundle: Path, tmp_path: Path) -> list[Any]:
    """The arguments of an acceptance."""
    cases, out = write_cases(rows), tmp_path / "out"
    return [site, "--cases", cases, "--model", phantom_bundle, "--out", out, "--sensitivity-floor", 0.5]


def test_an_acceptance_from_images_to_report(asked: list[Any], edge_accept: Called, tmp_path: Path, rows: Rows) -> None:
    done = edge_accept(*asked)
    report = json.loads((tmp_path / "out" / "acceptance.json").read_text())
    claims = {claim["name"]: claim for claim in report["result"]["claims"]}
    assert done.exit_code == (0 if report["result"]["accepted"] else 1)
    assert claims["sensitivity"]["share"]["cases"] == len({row[0] for row in rows if row[2] == "positive"})
    assert claims["specificity"]["finding"] is None
    assert report["certificate"]["passed"]
    assert report["protocol_sha256"] in done.output
    assert len((tmp_path / "out" / "answers.jsonl").read_text().splitlines()) == len(rows)
    page = (tmp_path / "out" / "acceptance.html").read_text()
    assert report["protocol_sha256"] in page and "<script" not in page and "http" not in page
    assert {group["value"] for group in report["result"]["subgroups"]} == {row[3] for row in rows}


def test_an_acceptance_is_recorded_with_its_answers_and_its_exit_status(
    asked: list[Any], edge_accept: Called, rows: Rows, tmp_path: Path
) -> None:
    done = edge_accept(*asked, "--audit", tmp_path / "audit.jsonl")
    found = [from_line(line).entry.event for line in (tmp_path / "audit.jsonl").read_bytes().splitlines()]
    summaries = [each for each in found if isinstance(each, Summary)]
    counted = [bundle for each in summaries for bundle in each.answers]
    assert sum(sum((*each.decisions.values(), *each.failures.values())) for each in counted) == len(rows)
    assert isinstance(found[0], Started) and found[0].command == "edge-predict accept"
    assert isinstance(found[-1], Stopped) and found[-1].status == done.exit_code


def test_answers_equal_those_of_edge_predict(
    asked: list[Any], edge_accept: Called, edge_predict: Called, site: Path, rows: Rows, tmp_path: Path
) -> None:
    edge_accept(*asked)
    mine = [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    plain = edge_predict("--json", "--model", asked[4], *(site / row[1] for row in rows)).stdout.splitlines()
    changing = {"time", "ms", "check"}
    for line, other in zip(mine, map(json.loads, plain), strict=True):
        assert {k: v for k, v in line.items() if k not in changing} == {
            k: v for k, v in other.items() if k not in changing
        }


def test_the_protocol_is_fixed_before_the_first_answer(
    asked: list[Any], edge_accept: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers_later(*_: object, **__: object) -> object:
        assert (tmp_path / "out" / "protocol.json").is_file()
        return iter([Failure("x", MachineError("memory: too little."))])

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "predict_all", answers_later)
        assert edge_accept(*asked).exit_code == 6
    assert edge_accept(*asked).exit_code in (0, 1)


def test_an_interrupted_acceptance_continues(asked: list[Any], edge_accept: Called, tmp_path: Path) -> None:
    edge_accept(*asked)
    path = tmp_path / "out" / "answers.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]) + lines[7][:50])
    edge_accept(*asked)
    again = path.read_bytes().splitlines(keepends=True)
    assert again[:7] == lines[:7] and len(again) == len(lines)
    assert [json.loads(line)["score"] for line in again] == [json.loads(line)["score"] for line in lines]


def _relabel(rows: Rows) -> None:
    for row in rows:
        if row[0] == rows[0][0]:
            row[2] = "positive" if row[2] == "negative" else "negative"


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ("labels", "acceptance_protocol_changed", "labels, subgroups or images"),
        ("floor", "acceptance_protocol_changed", "claims"),
        ("image", "acceptance_protocol_changed", "labels, subgroups or images"),
        ("model", "acceptance_protocol_changed", "bundle"),
        ("protocol", "acceptance_protocol_invalid", "protocol.json"),
        ("answers", "acceptance_answers", "line 3"),
        ("order", "acceptance_answers", "line 1"),
    ],
)
def test_what_changed_afterwards_is_refused_by_name(
    change: str,
    code: str,
    says: str,
    asked: list[Any],
    edge_accept: Called,
    tmp_path: Path,
    rows: Rows,
    write_cases: WriteCases,
    site: Path,
    phantom_bundle: Path,
) -> None:
    edge_accept(*asked)
    before = (tmp_path / "out" / "answers.jsonl").read_bytes()
    if change == "labels":
        _relabel(rows)
        write_cases(rows)
    elif change == "floor":
        asked[-1] = 0.4
    elif change == "image":
        (site / rows[0][1]).write_bytes((site / rows[1][1]).read_bytes() + b"\0")
    elif change == "model":
        asked[4] = phantom_bundle.with_name("phantom-checked")
    elif change == "protocol":
        (tmp_path / "out" / "protocol.json").write_text("{}")
    elif change == "answers":
        lines = before.splitlines(keepends=True)
        lines[2] = lines[2].replace(b'"confidence": 0.', b'"confidence": 0.0')
        before = b"".join(lines)
        (tmp_path / "out" / "answers.jsonl").write_bytes(before)
    elif change == "order":
        lines = before.splitlines(keepends=True)
        before = b"".join([lines[1], lines[0], *lines[2:]])
        (tmp_path / "out" / "answers.jsonl").write_bytes(before)
    done = edge_accept(*asked)
    assert done.exit_code == 2
    assert f"[{code}]" in done.output and says in done.output
    assert (tmp_path / "out" / "answers.jsonl").read_bytes() == before


def test_a_signed_report_is_verified_and_an_altered_one_is_not(
    asked: list[Any], edge_accept: Called, edge_bundle: Called, tmp_path: Path
) -> None:
    key = tmp_path / "site.key"
    edge_bundle("key", key)
    edge_accept(*asked, "--sign-key", key)
    out, public = tmp_path / "out", tmp_path / "site.key.pub"
    assert edge_accept("--verify", out, "--key", public).exit_code == 0
    text = (out / "acceptance.json").read_text()
    (out / "acceptance.json").write_text(text.replace('"accepted": false', '"accepted": true').replace("0.5", "0.6"))
    done = edge_accept("--verify", out, "--key", public)
    assert done.exit_code == 3 and "signature_wrong" in done.output
    (out / "acceptance.sig").unlink()
    assert "signature_missing" in edge_accept("--verify", out, "--key", public).output
    assert "acceptance_report_missing" in edge_accept("--verify", tmp_path, "--key", public).output


def test_a_machine_whose_self_test_fails_gives_no_report(
    asked: list[Any], edge_accept: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dataclasses import replace

    real = module.selftest
    monkeypatch.setattr(module, "selftest", lambda *given: replace(real(*given), passed=False))
    done = edge_accept(*asked)
    assert done.exit_code == 4 and "acceptance_selftest" in done.output
    assert not (tmp_path / "out" / "acceptance.json").exists()


def test_a_folder_with_other_files_is_not_taken(asked: list[Any], edge_accept: Called, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    done = edge_accept(*asked)
    assert done.exit_code == 2 and "expected an empty folder" in done.output


def test_the_table_of_needs_is_computed(edge_accept: Called) -> None:
    text = edge_accept("--table").output
    for cell in ("30 (2)", "59 (4)", "179 (11)"):
        assert cell in text


def test_arguments(edge_accept: Called, tmp_path: Path) -> None:
    assert "Expected FOLDER" in edge_accept().output
    assert "--verify needs --key" in edge_accept("--verify", tmp_path).output
