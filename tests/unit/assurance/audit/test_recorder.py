"""A run is told from its start to its end, and a log that cannot be written stops no answer and loses no count."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.assurance.audit import log_recorder
from edge_runtime.assurance.audit.entry import AuditEntry, from_line
from edge_runtime.assurance.audit.events import Event, Missed, ModelAdmitted, Started, Stopped, Summary
from edge_runtime.assurance.audit.keyed_hash import keyed_hash, message_of, read_key
from edge_runtime.assurance.audit.log import AuditLog
from edge_runtime.assurance.audit.log_recorder import AuditSettings, LogRecorder
from edge_runtime.assurance.audit.recorder import NO_RECORDER
from edge_runtime.assurance.audit.verification import verify
from edge_runtime.errors import AuditError, AuditWriteError, EdgeError
from tests.unit.assurance.audit.made import BUNDLE, admitted
from tests.unit.results.made import answer, failure


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(log_recorder, "monotonic", found)
    return found


def started(place: Path, tell: Any = None, **settings: Any) -> LogRecorder:
    return LogRecorder(AuditSettings(place, **settings), "edge-serve", tell or pytest.fail)


def entries(place: Path) -> list[AuditEntry]:
    return [from_line(line).entry for line in place.read_bytes().splitlines()]


def events(place: Path) -> list[Event]:
    return [entry.event for entry in entries(place)]


def counts(place: Path) -> dict[str, int]:
    """The sum of all summaries."""
    found: dict[str, int] = {}
    for event in events(place):
        for each in event.answers if isinstance(event, Summary) else ():
            for name, count in {**each.decisions, **each.failures}.items():
                found[name] = found.get(name, 0) + count
    return found


def test_a_run_is_told_from_its_start_to_its_end(place: Path) -> None:
    recorder = started(place)
    recorder.admit_model(admitted)
    for _ in range(3):
        recorder.answer(answer("a.png"))
    recorder.answer(failure("c.png"))
    recorder.count(BUNDLE)
    recorder.tick()
    recorder.stop(0)
    found = events(place)
    assert [type(event) for event in found] == [Started, ModelAdmitted, Summary, Stopped]
    assert len({entry.run for entry in entries(place)}) == 1
    summary = found[2]
    assert isinstance(summary, Summary)
    (answers,) = summary.answers
    assert (answers.model, answers.version, answers.bundle) == ("some-model", "1.0.0", BUNDLE)
    assert answers.decisions == {"NEGATIVE BELOW_CUTOFF": 3}
    assert (answers.failures, answers.slides, answers.answered) == ({"image_not_found": 1}, 1, 3)
    assert verify([place]).holds
    assert b".png" not in place.read_bytes()


def test_a_summary_comes_each_period_and_once_a_day_without_answers(place: Path, clock: Clock) -> None:
    recorder = started(place, period_s=3600)
    recorder.admit_model(admitted)
    recorder.answer(answer("a.png"))
    clock.now += 3599
    recorder.tick()
    assert len(events(place)) == 2
    clock.now += 1
    recorder.tick()
    assert counts(place) == {"NEGATIVE BELOW_CUTOFF": 1}
    clock.now += 80_000
    recorder.tick()
    assert len(events(place)) == 3
    clock.now += 6_400
    recorder.tick()
    assert isinstance(last := events(place)[-1], Summary) and last.answers == ()


def test_each_answer_has_an_entry_if_that_is_wanted(place: Path) -> None:
    recorder = started(place, period_s=0)
    assert recorder.each
    for number in range(3):
        recorder.answer(answer("a.png"))
        recorder.tick()
        assert len(events(place)) == number + 2


def test_answers_go_on_and_are_counted_while_the_disk_is_full(
    place: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[EdgeError] = []
    recorder = started(place, told.append, period_s=3600)
    append, full = AuditLog.append, [True]

    def maybe(self: AuditLog, *arguments: Any) -> Any:
        if full[0]:
            raise AuditWriteError("full")
        return append(self, *arguments)

    monkeypatch.setattr(AuditLog, "append", maybe)
    recorder.admit_model(admitted)
    for _ in range(50):
        recorder.answer(answer("a.png"))
        clock.now += 3600
        recorder.tick()
    assert (recorder.failures, len(told)) == (51, 1)
    assert len(events(place)) == 1
    full[0] = False
    recorder.answer(answer("b.png"))
    clock.now += 5
    recorder.tick()  # the last attempt was 5 s ago
    assert len(events(place)) == 1
    clock.now += 5
    recorder.tick()
    found = events(place)
    assert [type(event) for event in found] == [Started, Missed, ModelAdmitted, Summary]
    missed = found[1]
    assert isinstance(missed, Missed) and (missed.attempts, missed.code) == (51, "audit_write")
    assert counts(place) == {"NEGATIVE BELOW_CUTOFF": 51}
    recorder.stop(0)
    assert "could not be written" in verify([place]).notes[0].text and verify([place]).holds


def test_a_log_that_cannot_be_written_stops_the_start_and_is_an_error_at_the_end(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AuditWriteError):
        started(place / "missing" / "audit.jsonl")
    recorder = started(place, lambda error: None)
    place.unlink()
    place.mkdir()
    recorder.answer(answer("a.png"))
    recorder.tick()
    with pytest.raises(AuditWriteError):
        recorder.stop(0)


def test_threads_lose_no_count(place: Path) -> None:
    recorder = started(place, period_s=0)
    recorder.admit_model(admitted)

    def work() -> None:
        for _ in range(40):
            recorder.answer(answer("a.png"))
            recorder.tick()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.stop(0)
    assert counts(place) == {"NEGATIVE BELOW_CUTOFF": 200}
    assert verify([place]).holds


def test_the_keyed_hash_is_that_of_the_answers_in_their_order(place: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    key = read_key(tmp_path / "key")
    recorder = started(place, key=key)
    answers = [answer("a.png"), replace(answer("b.png"), sha256="6" * 64)]
    for each in answers:
        recorder.answer(each)
    recorder.answer(failure("c.png"))
    recorder.stop(0)
    (summary,) = (event for event in events(place) if isinstance(event, Summary))
    messages = [message_of(each.to_dict()) for each in answers]
    assert summary.keyed_hash == keyed_hash(key, messages) != keyed_hash(key, messages[::-1])


def test_a_short_or_missing_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    for name in ("key", "none"):
        with pytest.raises(AuditError) as caught:
            read_key(tmp_path / name)
        assert caught.value.code == "audit_key"


def test_without_a_log_nothing_is_kept() -> None:
    NO_RECORDER.answer(answer("a.png"))
    NO_RECORDER.tick()
    NO_RECORDER.stop(0)
    assert (NO_RECORDER.on, NO_RECORDER.head, NO_RECORDER.failures, NO_RECORDER.each) == (False, None, 0, False)
