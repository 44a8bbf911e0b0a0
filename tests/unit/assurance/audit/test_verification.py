"""An edited, reordered, removed or inserted line is found, and named by its number."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.assurance.audit.entry import SealedEntry, from_line
from edge_runtime.assurance.audit.verification import Verification, files_of, verify
from edge_runtime.errors import AuditError
from edge_runtime.serialisation.records import from_dict
from tests.unit.assurance.audit.made import RUN, counted, written

COUNT = 8
Lines = list[bytes]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    written(tmp_path / "audit.jsonl", COUNT)
    return tmp_path / "audit.jsonl"


def after(place: Path, change: Callable[[Lines], object]) -> Verification:
    lines = place.read_bytes().splitlines(keepends=True)
    change(lines)
    place.write_bytes(b"".join(lines))
    return verify([place])


def edited(line: bytes) -> bytes:
    return line.replace(b'"POSITIVE ABOVE_CUTOFF":', b'"POSITIVE ABOVE_CUTOFF":9')


def resealed(line: bytes) -> bytes:
    """Edit a line and give it a hash that fits."""
    fields = json.loads(edited(line))
    del fields["hash"]
    sealed = from_line(line)
    return SealedEntry.of(from_dict(type(sealed.entry), fields)).line


def named(found: Verification) -> list[int]:
    return [fault.line for fault in found.faults]


def test_an_untouched_log_holds(place: Path) -> None:
    found = verify([place])
    assert found.holds and found.entries == COUNT and not found.notes
    assert found.first is not None and found.head is not None and (found.first.number, found.head.number) == (1, COUNT)


@pytest.mark.parametrize("line", range(1, COUNT))
def test_an_edited_line_is_named(place: Path, line: int) -> None:
    found = after(place, lambda lines: lines.__setitem__(line, edited(lines[line])))
    assert named(found) == [line + 1] and "changed after it was written" in found.faults[0].text


@pytest.mark.parametrize("line", range(1, COUNT - 1))
def test_a_line_that_is_edited_with_a_new_hash_is_found_by_the_next(place: Path, line: int) -> None:
    found = after(place, lambda lines: lines.__setitem__(line, resealed(lines[line])))
    assert named(found) == [line + 2] and "one of the two was replaced" in found.faults[0].text


def test_the_last_line_edited_with_a_new_hash_is_found_by_the_anchor(place: Path) -> None:
    head = verify([place]).head
    assert head is not None
    assert after(place, lambda lines: lines.__setitem__(-1, resealed(lines[-1]))).holds
    assert verify([place], [head.hash]).missing == [head.hash]


@pytest.mark.parametrize("line", range(COUNT - 1))
def test_a_removed_line_is_named_at_its_place(place: Path, line: int) -> None:
    found = after(place, lambda lines: lines.pop(line))
    assert named(found) == [line + 1] and f"entry {line + 1} was removed" in found.faults[0].text


def test_a_cut_tail_is_found_by_the_anchor_alone(place: Path) -> None:
    head = verify([place]).head
    assert head is not None and verify([place], [head.hash]).holds
    found = after(place, lambda lines: lines.pop())
    assert found.holds
    assert not verify([place], [head.hash]).holds


@pytest.mark.parametrize("line", range(COUNT - 1))
def test_swapped_lines_are_named(place: Path, line: int) -> None:
    def swap(lines: Lines) -> None:
        lines[line], lines[line + 1] = lines[line + 1], lines[line]

    assert {line + 1, line + 2} <= set(named(after(place, swap)))


@pytest.mark.parametrize("line", range(1, COUNT + 1))
def test_a_copied_line_is_named(place: Path, line: int) -> None:
    found = after(place, lambda lines: lines.insert(line, lines[0]))
    assert named(found)[0] == line + 1 and "copy of entry 1" in found.faults[0].text


@pytest.mark.parametrize("content", [b"nothing\n", b"\n", b"{}\n", b'{"audit":"edge-audit/9","number":3}\n', b"\xff\n"])
@pytest.mark.parametrize("line", [0, 3, COUNT])
def test_an_inserted_line_is_named(place: Path, line: int, content: bytes) -> None:
    found = after(place, lambda lines: lines.insert(line, content))
    assert line + 1 in named(found)


def test_a_foreign_entry_that_fits_in_itself_is_named(place: Path, tmp_path: Path) -> None:
    written(tmp_path / "other.jsonl", 5)
    foreign = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)[4]
    found = after(place, lambda lines: lines.__setitem__(4, foreign))
    assert named(found)[0] == 5


def test_damage_at_the_end_is_no_torn_line_if_the_line_is_whole(place: Path) -> None:
    """A writer that goes on after it names it, and the verification still finds it."""
    assert named(after(place, lambda lines: lines.__setitem__(-1, edited(lines[-1])))) == [COUNT]
    from edge_runtime.assurance.audit.log import AuditLog

    AuditLog(place).append([counted()], RUN)
    assert named(verify([place])) == [COUNT]


def test_any_change_of_any_byte_is_found(place: Path) -> None:
    """500 random changes: a bit flipped, a byte removed, a byte inserted, a piece removed or copied."""
    honest, draw = place.read_bytes(), random.Random(7)
    head = verify([place]).head
    assert head is not None
    missed = []
    for number in range(500):
        at, length = draw.randrange(len(honest)), draw.randrange(1, 900)
        changed = (
            honest[:at] + bytes([honest[at] ^ 1 << draw.randrange(8)]) + honest[at + 1 :],
            honest[:at] + honest[at + 1 :],
            honest[:at] + bytes([draw.randrange(256)]) + honest[at:],
            honest[:at] + honest[at + length :],
            honest[:at] + honest[at : at + length] + honest[at:],
        )[number % 5]
        place.write_bytes(changed)
        if verify([place], [head.hash]).holds:
            missed.append(changed)
    assert not [changed for changed in missed if changed not in (honest, honest[:-1])], len(missed)


def test_files_that_are_missing_are_told(tmp_path: Path) -> None:
    for call in (lambda: verify([tmp_path / "none"]), lambda: files_of(tmp_path / "none")):
        with pytest.raises(AuditError, match="expected an audit log"):
            call()


def test_a_removed_file_between_two_is_found(tmp_path: Path) -> None:
    log = written(tmp_path / "audit.jsonl", 3)
    log.rotate()
    log.append([counted()], RUN)
    second = log.rotate()
    log.append([counted()], RUN)
    assert second is not None
    second.unlink()
    found = verify(files_of(tmp_path / "audit.jsonl"))
    assert not found.holds and "entries 4 to 5" in found.faults[0].text
