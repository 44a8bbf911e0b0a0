"""What is appended to an audit log stays, and what a crash or a full disk leaves is named and kept."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from edge_runtime.assurance.audit.clock import ClockReading
from edge_runtime.assurance.audit.entry import HEAD, ORIGIN, EntryError, from_line
from edge_runtime.assurance.audit.events import Lost, Mended, Rotated
from edge_runtime.assurance.audit.log import AuditLog
from edge_runtime.assurance.audit.verification import files_of, verify
from edge_runtime.errors import AuditError, AuditWriteError
from tests.unit.assurance.audit.made import RUN, counted, started, written


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def events(path: Path) -> list[object]:
    found: list[object] = []
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(EntryError):
            found.append(from_line(line).entry.event)
    return found


def test_an_entry_holds_the_hash_of_the_one_before_it(place: Path) -> None:
    """Against the form in the reference: sorted keys, no spaces, SHA-256 without the key ``hash``."""
    head = written(place, 3).head
    previous = ORIGIN.hash
    for number, line in enumerate(place.read_text(encoding="ascii").splitlines(), 1):
        fields = json.loads(line)
        found = fields.pop("hash")
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        assert found == hashlib.sha256(text.encode()).hexdigest()
        assert (fields["number"], fields["previous"], fields["audit"]) == (number, previous, "edge-audit/1")
        previous = found
    assert head is not None and (head.number, head.hash) == (3, previous)


def test_other_programs_reach_the_same_hashes(place: Path) -> None:
    """``jq`` and ``sha256sum``, as the reference says."""
    written(place, 3)
    try:
        bodies = subprocess.run(["jq", "-cS", "del(.hash)", place], capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("install jq")
    lines = [json.loads(line) for line in place.read_bytes().splitlines()]
    assert [hashlib.sha256(body).hexdigest() for body in bodies.splitlines()] == [line["hash"] for line in lines]


def test_two_writers_share_one_chain(place: Path) -> None:
    one, other = AuditLog(place), AuditLog(place)
    for number in range(4):
        (one, other)[number % 2].append([counted(number + 1)], RUN)
    found = verify([place])
    assert found.holds and found.entries == 4 and not found.notes


@pytest.mark.parametrize("kept", [1, 10, 24, 25, 26, 200, -3])
def test_a_torn_line_is_named_and_stays(place: Path, kept: int) -> None:
    log = written(place, 3)
    whole = place.read_bytes()
    torn = whole.splitlines(keepends=True)[-1].replace(b'"number":3', b'"number":4')[:kept]
    place.write_bytes(whole + torn)
    assert verify([place]).holds
    log.append([counted(9)], RUN)
    assert place.read_bytes().startswith(whole + torn)
    assert events(place)[-2] == Mended(len(torn), hashlib.sha256(torn).hexdigest())
    found = verify([place])
    assert found.holds and found.entries == 5
    assert [(note.line, note.text[:4]) for note in found.notes] == [(4, "torn")]


def test_an_entry_that_lacks_its_line_end_alone_is_whole(place: Path) -> None:
    log = written(place, 3)
    place.write_bytes(place.read_bytes()[:-1])
    assert verify([place]).holds and verify([place]).entries == 3
    log.append([counted(9)], RUN)
    found = verify([place])
    assert found.holds and found.entries == 4 and not found.notes


def test_zeros_and_a_line_that_is_torn_twice_are_named(place: Path) -> None:
    log = written(place, 2)
    with place.open("ab") as file:
        file.write(b"\0" * 5000)
    log.append([counted()], RUN)
    with place.open("ab") as file:
        file.write(HEAD + b'"bo\n' + HEAD)
    log.append([counted()], RUN)
    found = verify([place])
    assert found.holds and found.entries == 6 and len(found.notes) == 2


def test_an_entry_is_on_the_disk_before_the_call_returns(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(
        "edge_runtime.results.append_only_file._sync", lambda file: synced.append(os.fstat(file).st_size)
    )
    written(place, 3)
    ends = [i + 1 for i, byte in enumerate(place.read_bytes()) if byte == ord("\n")]
    assert synced == ends


@pytest.mark.parametrize("room", [0, 1, 30, 400])
def test_a_full_disk_is_told_and_leaves_the_log_as_it_was(
    place: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = written(place, 2)
    before, write, left = place.read_bytes(), os.write, [room]

    def limited(file: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(file, data[: left[0]])
        left[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", limited)
    with pytest.raises(AuditWriteError, match="No space left") as caught:
        log.append([started(), counted()], RUN)
    assert (caught.value.code, caught.value.exit_code) == ("audit_write", 5)
    assert place.read_bytes() == before
    left[0] = 1 << 20
    log.append([counted()], RUN)
    found = verify([place])
    assert found.holds and found.entries == 3 and not found.notes


def test_a_file_that_is_no_audit_log_is_left_as_it_is(place: Path) -> None:
    place.write_bytes(b'{"schema": "edge-predict/2", "image": "a.png"}\n')
    before = place.read_bytes()
    with pytest.raises(AuditError, match="no audit log") as caught:
        AuditLog(place).append([counted()])
    assert caught.value.code == "audit_foreign" and place.read_bytes() == before


def test_a_folder_or_a_missing_folder_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "audit.jsonl"):
        with pytest.raises(AuditWriteError, match="cannot be written"):
            AuditLog(path).append([counted()])


def test_a_lock_that_is_held_ends_in_an_error(place: Path) -> None:
    log = AuditLog(place, lock_s=0.05)
    log.append([counted()])
    with open(f"{place}.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AuditWriteError, match="another process") as caught:
            log.append([counted()])
    assert caught.value.code == "audit_busy"
    log.append([counted()])
    assert verify([place]).entries == 2


def test_rotation_carries_the_chain_over(place: Path) -> None:
    log = written(place, 3)
    aside = log.rotate()
    assert aside is not None and aside.name == "audit.jsonl.000000000003"
    log.append([counted()], RUN)
    assert log.rotate() is not None
    AuditLog(place).append([counted()])
    assert events(place)[0] == Rotated("audit.jsonl.000000000005")
    files = files_of(place)
    assert [file.name[-3:] for file in files] == ["003", "005", "onl"]
    assert verify(files).holds and verify(files).entries == 7
    alone = verify([place])
    assert alone.holds and "not here" in alone.notes[0].text


def test_a_large_file_is_rotated_by_itself(place: Path) -> None:
    log = AuditLog(place, rotate_bytes=2000)
    for number in range(30):
        log.append([counted(number + 1)], RUN)
    files = files_of(place)
    assert len(files) > 3 and all(file.stat().st_size < 3000 for file in files)
    assert verify(files).holds


def test_a_crash_in_a_rotation_and_logrotate_lose_nothing(place: Path) -> None:
    log = written(place, 3)
    place.rename(f"{place}.1")  # a crash before the new file, or logrotate
    AuditLog(place).append([counted()], RUN)
    assert events(place)[0] == Rotated("audit.jsonl.1")
    place.rename(f"{place}.2")
    place.touch()  # a crash before its first entry, or logrotate with "create"
    log.append([counted()], RUN)
    assert verify(files_of(place)).holds and verify(files_of(place)).entries == 7


def test_what_is_cut_off_while_a_run_goes_on_is_told(place: Path) -> None:
    log = written(place, 4)
    lines = place.read_bytes().splitlines(keepends=True)
    place.write_bytes(b"".join(lines[:2]))
    log.append([counted()], RUN)
    lost = events(place)[-2]
    assert isinstance(lost, Lost) and (lost.number, lost.found) == (4, 2)
    found = verify([place])
    assert not found.holds and "entries 3 to 4 were cut off" in str(found.faults[0])
    place.unlink()
    log.append([counted()], RUN)
    assert "were removed" in str(verify([place]).faults[0])


def test_a_set_clock_is_noted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter(
        [
            ClockReading("2026-01-01T00:00:00.000Z", "a", 1000),
            ClockReading("2026-01-01T00:00:11.000Z", "a", 11_000),  # 1 s faster: NTP
            ClockReading("2026-01-01T01:00:21.000Z", "a", 21_000),  # set forward by an hour
            ClockReading("2026-01-01T00:00:31.000Z", "a", 31_000),  # and back
            ClockReading("2025-12-31T00:00:00.000Z", "b", 500),  # a machine that starts without a clock
            ClockReading("2026-01-02T00:00:00.000Z", "c", 500),  # off for two days: nothing to note
        ]
    )
    monkeypatch.setattr(ClockReading, "now", classmethod(lambda cls: next(readings)))
    written(place, 6)
    found = verify([place])
    assert found.holds
    assert [(note.line, note.text.split(" before")[0]) for note in found.notes] == [
        (3, "the clock was set forward by 3600 s"),
        (4, "the clock was set back by 3600 s"),
        (5, "the clock was set back by 86431 s"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_writes_first_belongs_to_the_folders_owner(place: Path) -> None:
    os.chown(place.parent, 12345, 12346)
    written(place, 1)
    for path in (place, Path(f"{place}.lock")):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)
