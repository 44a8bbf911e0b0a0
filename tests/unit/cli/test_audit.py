"""Commands write what they did into an audit log, and ``edge-bundle audit`` and ``edge-predict check`` read it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.assurance.audit.entry import from_line
from edge_runtime.assurance.audit.events import (
    Event,
    ModelAdmitted,
    SelfTested,
    SitePolicyChanged,
    Started,
    Stopped,
    StoreAction,
    StoreChanged,
    Summary,
)
from edge_runtime.assurance.audit.log import AuditLog
from edge_runtime.assurance.audit.verification import verify
from edge_runtime.bundle.bundle import find
from tests.phantom_bundle import COMMITTED
from tests.places import ROOT
from tests.site_policies import site_policy
from tests.unit.assurance.audit.made import counted, written
from tests.unit.bundle import small_bundle
from tests.unit.bundle.shipped_bundle import NAME, image

PHANTOM = ROOT / "docs" / "phantom.png"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def named_log(log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log, named by the environment."""
    monkeypatch.setenv("EDGE_AUDIT_LOG", str(log))
    return log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "patient-x4711"
    place.mkdir()
    for number in range(3):
        image(place / f"meyer-{number}.png", number)
    (place / "broken.png").write_bytes(b"no image")
    return place


def events(log: Path) -> list[Event]:
    return [from_line(line).entry.event for line in log.read_bytes().splitlines()]


def summed(log: Path) -> tuple[int, dict[str, int], int]:
    """Predictions, failures and slides of all summaries."""
    answers = [each for event in events(log) if isinstance(event, Summary) for each in event.answers]
    failures: dict[str, int] = {}
    for each in answers:
        for code, count in each.failures.items():
            failures[code] = failures.get(code, 0) + count
    return sum(each.answered for each in answers), failures, sum(each.slides for each in answers)


def test_printed_answers_are_counted_and_no_name_is_kept(edge_predict: Any, named_log: Path, folder: Path) -> None:
    result = edge_predict(folder, "--json")
    assert result.exit_code == 1
    assert [type(event) for event in events(named_log)] == [Started, ModelAdmitted, Summary, Stopped]
    assert summed(named_log) == (3, {"image_format": 1}, 0)
    stopped, model = events(named_log)[-1], events(named_log)[1]
    assert stopped == Stopped(1)
    assert isinstance(model, ModelAdmitted) and (model.model, model.bundle) == (NAME, find(NAME).digest)
    text = named_log.read_text(encoding="ascii")
    assert not [word for word in ("meyer", "x4711", "patient", "broken", str(folder.parent)) if word in text]


def test_heatmaps_slides_and_errors_are_recorded(
    edge_predict: Any, named_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge_predict(PHANTOM, "--heatmap", tmp_path / "map.png")
    assert summed(named_log) == (1, {}, 0)
    edge_predict("--tiles", PHANTOM)
    assert summed(named_log) == (1, {}, 1)
    edge_predict("--tiles", tmp_path / "missing.png")
    assert summed(named_log) == (1, {"image_not_found": 1}, 1)
    edge_predict(PHANTOM, "--model", "no-such-model")
    assert events(named_log)[-1] == Stopped(3, "bundle_not_found")
    assert verify([named_log]).holds


def test_a_log_that_cannot_be_written_stops_the_command_before_any_answer(
    edge_predict: Any, edge_bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    nowhere = tmp_path / "missing" / "audit.jsonl"
    for result in (
        edge_predict(PHANTOM, "--audit", nowhere),
        edge_bundle("install", small_bundle.make(tmp_path / "new"), "--audit", nowhere),
    ):
        assert (result.exit_code, result.stdout) == (5, "")
        assert result.stderr.startswith("error [audit_write]: ")
    assert not list((tmp_path / "store").rglob("bundle.json"))


def test_an_audit_log_is_never_mixed_with_results(edge_predict: Any, tmp_path: Path) -> None:
    place = tmp_path / "results.jsonl"
    edge_predict(PHANTOM, "--output", place)
    before = place.read_bytes()
    result = edge_predict(PHANTOM, "--audit", place)
    assert (result.exit_code, result.stdout) == (2, "") and "error [audit_foreign]" in result.stderr
    assert place.read_bytes() == before


def test_changes_of_the_store_are_recorded(
    edge_bundle: Any, named_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    old = small_bundle.make(tmp_path / "old")
    new = small_bundle.make(tmp_path / "new", version="1.1.0")
    digests = {folder.name: find(folder).digest for folder in (old, new)}
    for command in (("install", old), ("install", new), ("rollback", "tiny"), ("remove", "tiny")):
        assert edge_bundle(*command).exit_code == 0
    assert edge_bundle("remove", "tiny").exit_code == 3
    assert events(named_log) == [
        StoreChanged(StoreAction.INSTALL, "tiny", "installed", "1.0.0", digests["old"]),
        StoreChanged(StoreAction.INSTALL, "tiny", "installed", "1.1.0", digests["new"], "1.0.0"),
        StoreChanged(StoreAction.ROLLBACK, "tiny", "made current again", "1.0.0", digests["old"], "1.1.0"),
        StoreChanged(StoreAction.REMOVE, "tiny", "removed"),
    ]


def test_changes_of_the_site_policy_are_recorded(
    edge_bundle: Any, edge_predict: Any, named_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    edge_bundle("install", COMMITTED)
    policy = site_policy(COMMITTED, tmp_path / "policy")
    edge_bundle("site-policy", "install", policy.path)
    edge_predict(PHANTOM, "--model", "phantom-patch")
    edge_bundle("site-policy", "remove", "phantom-patch")
    found = events(named_log)
    bundle = find(COMMITTED).digest
    assert [each for each in found if isinstance(each, SitePolicyChanged)] == [
        SitePolicyChanged("phantom-patch", bundle, policy.sha256),
        SitePolicyChanged("phantom-patch"),
    ]
    assert [each.site_policy for each in found if isinstance(each, ModelAdmitted)] == [policy.sha256]


def test_a_self_test_is_recorded_with_the_hash_of_its_certificate(
    edge_bundle: Any, named_log: Path, tmp_path: Path
) -> None:
    assert edge_bundle("selftest", NAME, "--json", tmp_path / "certificate.json").exit_code == 0
    (event,) = events(named_log)
    content = (tmp_path / "certificate.json").read_bytes()
    assert isinstance(event, SelfTested) and event.passed and not event.failed
    assert event.certificate == hashlib.sha256(content).hexdigest()
    assert event.bundle == find(NAME).digest


def test_verify_prints_the_head_and_expects_it_later(edge_bundle: Any, log: Path) -> None:
    head = written(log, 4).head
    assert head is not None
    result = edge_bundle("audit", "verify", log)
    assert result.exit_code == 0
    assert [row.split() for row in result.stdout.splitlines()][2] == ["head", "4", head.hash]
    AuditLog(log).append([counted()])
    for text in (head.hash, head.hash[:16]):
        assert edge_bundle("audit", "verify", log, "--expect", text).exit_code == 0
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:3]))
    cut = edge_bundle("audit", "verify", log, "--expect", head.hash)
    assert cut.exit_code == 1 and f"expected entry {head.hash}" in cut.stdout and "BROKEN" in cut.stdout
    assert edge_bundle("audit", "verify", log, "--expect", "xyz").exit_code == 2
    assert edge_bundle("audit", "verify", log.with_name("none")).exit_code == 2


def test_verify_names_an_edited_line(edge_bundle: Any, log: Path) -> None:
    written(log, 4)
    log.write_bytes(log.read_bytes().replace(b'"POSITIVE ABOVE_CUTOFF":2', b'"POSITIVE ABOVE_CUTOFF":3'))
    result = edge_bundle("audit", "verify", log)
    assert result.exit_code == 1
    assert "audit.jsonl, line 3: it was changed after it was written" in result.stdout
    assert edge_bundle("audit", "show", log).exit_code == 1


def test_a_signed_head_is_found_again_and_a_forged_one_is_refused(edge_bundle: Any, log: Path, tmp_path: Path) -> None:
    for name in ("site", "other"):
        edge_bundle("key", tmp_path / name)
    written(log, 4)
    signed = tmp_path / "head"
    assert edge_bundle("audit", "sign", log, "--key", tmp_path / "site", "--out", signed).exit_code == 0
    AuditLog(log).append([counted()])
    asked = ("audit", "verify", log, "--checkpoint", signed, "--key")
    assert edge_bundle(*asked, tmp_path / "site.pub").exit_code == 0
    other = edge_bundle(*asked, tmp_path / "other.pub")
    assert other.exit_code == 3 and "signature_other_key" in other.stderr
    content = signed.read_bytes()
    signed.write_bytes(content.replace(b"head/1 4 ", b"head/1 3 "))
    assert "signature_wrong" in edge_bundle(*asked, tmp_path / "site.pub").stderr
    signed.write_bytes(content[:50])
    assert "audit_checkpoint" in edge_bundle(*asked, tmp_path / "site.pub").stderr
    signed.write_bytes(content)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:3]))
    assert edge_bundle(*asked, tmp_path / "site.pub").exit_code == 1
    assert edge_bundle("audit", "verify", log, "--checkpoint", signed).exit_code == 2
    log.write_bytes(lines[1])
    refused = edge_bundle("audit", "sign", log, "--key", tmp_path / "site", "--out", signed)
    assert refused.exit_code == 2 and "not signed" in refused.stderr


def test_rotate_names_the_file_and_show_reads_both(
    edge_predict: Any, edge_bundle: Any, named_log: Path, folder: Path
) -> None:
    edge_predict(folder, "--json")
    rotated = edge_bundle("audit", "rotate")
    assert rotated.stdout == f"{named_log}.000000000004: rotated.\n"
    edge_predict(PHANTOM)
    shown = edge_bundle("audit", "show")
    assert shown.exit_code == 0
    version = find(NAME).manifest.spec.version
    assert shown.stdout.count(f"{NAME} {version}, edge-predict\n") == 2 and "image_format" in shown.stdout
    lines = edge_bundle("audit", "show", "--json").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(1, 10))
    assert edge_bundle("audit", "verify", "--alone").stdout.count("not here") == 1
    named_log.unlink()
    assert edge_bundle("audit", "rotate").exit_code == 2


def test_check_compares_a_results_file_with_the_log(edge_predict: Any, log: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    recorded = ("--audit", log, "--audit-key", tmp_path / "key")
    place, other = tmp_path / "results.jsonl", tmp_path / "other.jsonl"
    edge_predict(folder, "--output", place, *recorded)
    edge_predict(PHANTOM, "--output", other, *recorded)
    image(folder / "later.png", 7)
    edge_predict(folder, "--output", place, "--resume", *recorded)
    for file, lines, answers in ((place, 5, 4), (other, 1, 1)):
        found = edge_predict("check", file, *recorded)
        assert found.exit_code == 0, found.stdout
        assert f"{lines}  of {lines} lines are of a model that answered then" in found.stdout
        assert f"{answers}  of {answers} answers, by keyed hashes" in found.stdout
    assert edge_predict("check", place, "--audit-key", tmp_path / "key").exit_code == 2


def test_check_finds_answers_that_the_log_does_not_know(
    edge_predict: Any, log: Path, folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "results.jsonl"
    edge_predict(folder, "--output", place, "--audit", log)
    assert edge_predict("check", place, "--audit", log).exit_code == 0
    late = edge_predict(PHANTOM, "--output", tmp_path / "more.jsonl")
    assert late.exit_code == 0
    more = (tmp_path / "more.jsonl").read_bytes()
    place.write_bytes(place.read_bytes() + more)
    found = edge_predict("check", place, "--audit", log)
    assert found.exit_code == 1
    assert "4 answers of bundle" in found.stdout and "the log counts 3" in found.stdout
    edge_predict(PHANTOM, "--model", "breast-us", "--output", tmp_path / "us.jsonl")
    us = edge_predict("check", tmp_path / "us.jsonl", "--audit", log)
    assert us.exit_code == 1 and "is not in the log" in us.stdout
    log.write_bytes(log.read_bytes().replace(b'"status":1', b'"status":0'))
    assert edge_predict("check", place, "--audit", log).exit_code == 1


def test_check_finds_an_answer_outside_the_time_of_its_model(
    edge_predict: Any, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_runtime.inference import prediction

    place, honest = tmp_path / "results.jsonl", prediction.time.time_ns
    edge_predict(PHANTOM, "--output", place, "--audit", log)
    monkeypatch.setattr(prediction.time, "time_ns", lambda: honest() - 3_600_000_000_000)
    edge_predict(PHANTOM, "--output", tmp_path / "early.jsonl")
    place.write_bytes((tmp_path / "early.jsonl").read_bytes())
    found = edge_predict("check", place, "--audit", log)
    assert found.exit_code == 1 and "was not in use at" in found.stdout
