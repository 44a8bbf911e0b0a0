"""The audit log of a real service: models, answers, signals, kills, and a disk that is full."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.assurance.audit.entry import SealedEntry
from edge_runtime.assurance.audit.events import Missed, ModelAdmitted, Started, Stopped, Summary
from edge_runtime.assurance.audit.periods import AuditHistory
from edge_runtime.assurance.audit.verification import Verification, files_of, verify
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.registry.install import install
from tests.integration.serving.conftest import Started as Start
from tests.places import ROOT
from tests.serving import Served
from tests.unit.bundle import shipped_bundle

NAME = "idc-patch-compact"


def read(log: Path) -> tuple[Verification, list[SealedEntry]]:
    found: list[SealedEntry] = []
    return verify(files_of(log), take=found.append), found


def kinds(entries: list[SealedEntry]) -> list[type]:
    return [type(each.entry.event) for each in entries]


def value(service: Served, name: str) -> float:
    lines = [line for line in service.get("/metrics").body.decode().splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].split()[1])


def test_a_run_is_recorded_from_start_to_stop(started: Start, phantom: bytes, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    service = started(NAME, "--audit", log).until_ready()
    for _ in range(3):
        service.predict(phantom)
    service.predict(phantom[:400])
    service.stop()
    verified, entries = read(log)
    assert verified.holds
    assert kinds(entries) == [Started, ModelAdmitted, Summary, Stopped]
    model, summary = entries[1].entry.event, entries[2].entry.event
    assert isinstance(model, ModelAdmitted) and isinstance(summary, Summary)
    assert (model.model, model.bundle, len(model.certificate or "")) == (NAME, find(NAME).digest, 64)
    (answers,) = summary.answers
    assert answers.decisions == {"POSITIVE ABOVE_CUTOFF": 3} and answers.failures == {"image_truncated": 1}


def test_each_answer_is_on_the_disk_before_its_response(started: Start, phantom: bytes, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    service = started(NAME, "--audit", log, "--audit-period", 0).until_ready()
    for number in range(1, 6):
        service.predict(phantom)
        assert kinds(read(log)[1])[2:] == [Summary] * number
    service.kill()
    verified, entries = read(log)
    history = AuditHistory()
    for entry in entries:
        history.take(entry)
    assert verified.holds and len(history.unended()) == 1


def test_a_new_version_is_recorded_before_it_answers(
    started: Start, phantom: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, store = tmp_path / "audit.jsonl", tmp_path / "store"
    service = started(NAME, "--audit", log, EDGE_MODELS=str(store)).until_ready()
    service.predict(phantom)
    monkeypatch.setenv("EDGE_MODELS", str(store))
    install(shipped_bundle.version(tmp_path / "new", shipped_bundle.NEWER))
    service.wait(lambda: service.events("model_replaced"))
    service.predict(phantom)
    service.stop()
    _, entries = read(log)
    assert kinds(entries) == [Started, ModelAdmitted, ModelAdmitted, Summary, Stopped]
    (summary,) = (each.entry.event for each in entries if isinstance(each.entry.event, Summary))
    assert sorted(answers.version for answers in summary.answers) == [shipped_bundle.VERSION, shipped_bundle.NEWER]


def test_a_log_that_cannot_be_written_stops_the_start_by_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_runtime.cli.serve", NAME, "--port", "0"]
    command += ["--audit", str(tmp_path / "missing" / "log")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 5 and "error [audit_write]" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nothing be mounted")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_stops_no_answer_is_told_and_is_made_up_for(
    started: Start, phantom: bytes, small_disk: Path
) -> None:
    log, filler = small_disk / "audit.jsonl", small_disk / "filler"
    service = started(NAME, "--audit", log, "--audit-period", 0).until_ready()
    service.predict(phantom)
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass
    answers = 1
    while not service.events("audit_failed"):  # the last page of the log may have room
        assert service.predict(phantom).status == 200
        answers += 1
        assert answers < 100
    assert service.predict(phantom).status == 200
    answers += 1
    assert value(service, "edge_audit_failures_total") >= 1
    assert read(log)[0].holds
    filler.unlink()
    service.wait(lambda: Missed in kinds(read(log)[1]), 30)
    service.stop()
    verified, entries = read(log)
    assert verified.holds
    summaries = [each.entry.event for each in entries if isinstance(each.entry.event, Summary)]
    counted = sum(each.answered for summary in summaries for each in summary.answers)
    assert counted == answers
    assert len(service.events("audit_failed")) == 1


def test_a_disk_that_stays_full_is_an_error_at_the_end(started: Start, phantom: bytes, small_disk: Path) -> None:
    service = started(NAME, "--audit", small_disk / "audit.jsonl").until_ready()
    service.predict(phantom)
    with (small_disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass
    page = os.sysconf("SC_PAGE_SIZE")
    with (small_disk / "audit.jsonl").open("ab") as file:  # fill the last page, as a torn line does
        file.write(b"\0" * (-file.tell() % page))
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 5
    assert "error [audit_write]" in service.log.read_text()
