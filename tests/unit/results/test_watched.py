"""The files of a watch: what is on the disk when, what is remembered, and what it costs."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from edge_runtime.errors import MachineError, ResultsError, ResultsWriteError
from edge_runtime.inference.prediction import Failure
from edge_runtime.results import append_only_file, journal
from edge_runtime.results.file import Results
from edge_runtime.results.lines import FileStamp, ImageIdentity, to_line
from edge_runtime.results.watched_file import WatchedResults
from tests.unit.results.made import ORIGIN, STAMP, answer, failure, refusal
from tests.unit.results.test_durable import full_after

A, B = (ImageIdentity(name, STAMP) for name in ("a.png", "b.png"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def images(place: Path) -> list[str]:
    return [json.loads(line)["image"] for line in place.read_text(encoding="ascii").splitlines()]


def test_an_image_is_noted_on_the_disk_before_it_is_touched_and_its_line_before_the_next(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk holds, as of its last order to sync."""
    disk: dict[str, bytes] = {}

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        disk[path.name] = path.read_bytes()

    monkeypatch.setattr(append_only_file, "_sync", sync)
    monkeypatch.setattr(journal, "_sync", sync)
    with WatchedResults(place, ORIGIN) as results:
        results.begin(A)
        assert b"a.png" in disk["results.jsonl.reading"]
        results.append(answer("a.png"), STAMP)
        assert b"a.png" in disk["results.jsonl"]
        results.begin(B)
        assert b"b.png" in disk["results.jsonl.reading"]
        results.let_go()
        assert b"a.png" in disk["results.jsonl.seen"]


def test_what_a_kill_leaves_tells_who_was_at_hand(place: Path) -> None:
    """Copies of the files at any moment are what the next process finds."""
    kills = place.parent / "kills"

    def killed_now() -> WatchedResults:
        shutil.rmtree(kills, ignore_errors=True)
        kills.mkdir()
        for path in place.parent.glob("results.jsonl*"):
            shutil.copy(path, kills)
        return WatchedResults(kills / place.name, ORIGIN)

    with WatchedResults(place, ORIGIN) as results:
        with killed_now() as next_one:
            assert [next_one.deaths(image) for image in (A, B)] == [0, 0]
        results.begin(A)
        with killed_now() as next_one:
            assert [next_one.deaths(image) for image in (A, B)] == [1, 0]
            assert A not in next_one
        results.append(answer("a.png"), STAMP)
        with killed_now() as next_one:
            assert [next_one.deaths(image) for image in (A, B)] == [0, 0]
        results.begin(B)
        results.let_go()
        with killed_now() as next_one:
            assert [next_one.deaths(image) for image in (A, B)] == [0, 0]


def test_deaths_add_up_through_restarts_and_an_answer_ends_them(place: Path) -> None:
    for times in range(3):
        with WatchedResults(place, ORIGIN) as results:
            assert results.deaths(A) == times
            results.begin(A)
    with WatchedResults(place, ORIGIN) as results:
        assert results.deaths(A) == 3
        results.append(answer("a.png"), STAMP)
        assert results.deaths(A) == 0


def test_the_longest_path_fits_into_the_note(place: Path) -> None:
    long = ImageIdentity("/" + "\udcff" * 4095, FileStamp(2**63 - 1, -(2**63)))
    with WatchedResults(place, ORIGIN) as results:
        results.begin(long)
    size = place.with_name("results.jsonl.reading").stat().st_size
    with WatchedResults(place, ORIGIN) as results:
        assert results.deaths(long) == 1
    assert place.with_name("results.jsonl.reading").stat().st_size == size == 1 << 16


def test_a_torn_note_blames_nobody(place: Path) -> None:
    with WatchedResults(place, ORIGIN) as results:
        results.begin(A)
    note = place.with_name("results.jsonl.reading")
    for damaged in (note.read_bytes().replace(b"a.png", b"c.png"), b"", b"\xff" * 9000, b"\n", b"0 []\n"):
        note.write_bytes(damaged)
        with WatchedResults(place, ORIGIN) as results:
            assert [results.deaths(ImageIdentity(name, STAMP)) for name in ("a.png", "c.png")] == [0, 0]


def test_lines_of_other_versions_stand_beside_each_other_and_another_model_is_refused(place: Path) -> None:
    newer = dataclasses.replace(ORIGIN, version="1.0.1", bundle="a" * 64, cutoff=0.6)
    with WatchedResults(place, ORIGIN) as results:
        results.append(answer("a.png"), STAMP)
        results.take_over(newer)
        results.append(answer("b.png", newer), STAMP)
        results.append(Failure("c.png", failure("c.png").error), STAMP)
    assert json.loads(place.read_text(encoding="ascii").splitlines()[2])["bundle"] == "a" * 64
    for origin in (ORIGIN, newer):
        with WatchedResults(place, origin) as results:
            assert len(results) == results.lines == 3
    with pytest.raises(ResultsError) as caught:
        WatchedResults(place, dataclasses.replace(ORIGIN, model="another"))
    assert refusal(caught.value, place) == "results_other_model"


def test_a_watch_and_a_batch_do_not_share_a_file(place: Path) -> None:
    Results(place, ORIGIN, resume=False).close()
    place.write_text(to_line(answer("a.png")) + "\n", encoding="ascii")
    with pytest.raises(ResultsError, match="written without --watch, expected with") as caught:
        WatchedResults(place, ORIGIN)
    assert refusal(caught.value, place) == "results_other_kind"


def test_the_results_count_where_they_and_the_memory_differ(place: Path) -> None:
    with WatchedResults(place, ORIGIN) as results:
        results.append(answer("a.png"), STAMP)
        results.append(failure("b.png"), STAMP)
    first, second = place.read_text(encoding="ascii").splitlines(keepends=True)
    place.write_text(to_line(failure("a.png"), STAMP) + "\n" + second, encoding="ascii")
    with WatchedResults(place, ORIGIN) as results:
        results.forget_failures()
        assert A not in results and B not in results
    assert first and images(place) == []


def test_failures_are_forgotten_also_when_their_lines_were_moved_away(place: Path) -> None:
    with WatchedResults(place, ORIGIN) as results:
        results.append(answer("a.png"), STAMP)
        results.append(failure("b.png"), STAMP)
        place.unlink()
        assert results.follow() and not results.follow()
        results.forget_failures()
        assert A in results and B not in results
    with WatchedResults(place, ORIGIN) as results:
        assert A in results and B not in results


TORN = {
    "moved": lambda place: place.rename(place.with_name("old")),
    "removed": Path.unlink,
    "cut": lambda place: os.truncate(place, 0),
}


@pytest.mark.parametrize("how", TORN)
def test_only_lines_of_this_very_file_can_be_lost_from_it(how: str, place: Path) -> None:
    """What was moved away or copied is not answered again for damage to what came after."""
    with WatchedResults(place, ORIGIN) as results:
        results.append(answer("a.png"), STAMP)
        TORN[how](place)
        results.append(answer("b.png"), STAMP)
        results.append(answer("c.png"), STAMP)
    os.truncate(place, place.stat().st_size - 9)
    for _ in range(2):
        with WatchedResults(place, ORIGIN) as results:
            assert A in results and B in results
            assert ImageIdentity("c.png", STAMP) not in results
    assert images(place) == ["b.png"]


def test_left_out_files_are_remembered_and_counted_apart(place: Path) -> None:
    for _ in range(2):
        with WatchedResults(place, ORIGIN) as results:
            if A not in results:
                results.leave_out("a.png", "hidden", STAMP)
            assert A in results and len(results) == 0
    assert images(place) == ["a.png"]


def test_a_memory_that_mostly_says_nothing_is_written_anew(place: Path) -> None:
    seen = place.with_name("results.jsonl.seen")
    with WatchedResults(place, ORIGIN) as results:
        results.append(answer("a.png"), STAMP)
        line = seen.read_bytes()
    seen.write_bytes(line * 3000)
    with WatchedResults(place, ORIGIN) as results:
        assert A in results and len(seen.read_bytes().splitlines()) == 2 and line in seen.read_bytes()
        with pytest.raises(ResultsError):  # still locked
            WatchedResults(place, ORIGIN)


@pytest.mark.parametrize("room", [0, 10])
def test_a_full_disk_after_copytruncate_leaves_no_hole(room: int, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with WatchedResults(place, ORIGIN) as results:
        results.append(answer("a.png"), STAMP)
        os.truncate(place, 0)
        full_after(room, monkeypatch)
        with pytest.raises(ResultsWriteError, match=re.escape(f"{place}: could not be written (No space left")):
            results.append(answer("b.png"), STAMP)
        monkeypatch.undo()
    assert place.read_bytes() == b""


def test_a_fault_of_the_machine_never_becomes_a_line(place: Path) -> None:
    with WatchedResults(place, ORIGIN) as results:
        with pytest.raises(ValueError, match="machine_io"):
            results.append(Failure("a.png", MachineError("a.png: the machine failed.")), STAMP)
        assert A not in results
    assert place.read_bytes() == b""


def test_a_file_that_cannot_be_made_again_is_no_fault_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 5, after which a service is started again; not 2."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with WatchedResults(folder / "r", ORIGIN) as results:
        folder.rename(tmp_path / "away")
        with pytest.raises(ResultsWriteError):
            results.follow()
        (tmp_path / "away").rename(folder)
        monkeypatch.setattr(os, "stat", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
        with pytest.raises(ResultsWriteError):
            results.append(answer("a.png"), STAMP)
