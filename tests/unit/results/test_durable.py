"""What was appended stays, whatever the disk says of what comes after."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.results.append_only_file import Durable, InUseError
from tests.places import ROOT


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "file"


def filled(path: Path, *pieces: bytes) -> Durable:
    file = Durable(path, existing=False)
    for piece in pieces:
        file.append(piece)
    return file


def full_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk take ``count`` bytes more, the last ones as a part of a write, as a real one does."""
    write, left = os.write, [count]

    def limited(file: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(file, data[: left[0]])
        left[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", limited)


def test_pieces_stand_in_order_and_are_on_disk_before_the_call_returns(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(
        "edge_runtime.results.append_only_file._sync", lambda file: synced.append(os.fstat(file).st_size)
    )
    file = filled(place, b"one\n", b"two\n")
    assert synced == [4, 8]
    assert place.read_bytes() == b"one\ntwo\n"
    assert file.size == 8


@pytest.mark.parametrize("room", range(5))
def test_a_full_disk_leaves_no_part_of_a_piece(room: int, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = filled(place, b"whole\n")
    full_after(room, monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        file.append(b"never\n")
    assert place.read_bytes() == b"whole\n"
    monkeypatch.undo()
    file.append(b"again\n")
    assert place.read_bytes() == b"whole\nagain\n"


def test_a_disk_that_refuses_to_sync_leaves_no_part_of_a_piece(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = filled(place, b"whole\n")

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("edge_runtime.results.append_only_file._sync", refuse)
    with pytest.raises(OSError, match="input/output"):
        file.append(b"never\n")
    assert place.read_bytes() == b"whole\n"


def test_a_file_that_is_there_is_opened_only_if_that_is_wanted(place: Path) -> None:
    filled(place, b"kept\n").close()
    with pytest.raises(FileExistsError):
        Durable(place, existing=False)
    file = Durable(place, existing=True)
    file.append(b"more\n")
    assert place.read_bytes() == b"kept\nmore\n"
    with file.reader() as reader:
        assert reader.read() == b"kept\nmore\n"


def test_a_second_process_is_refused_until_the_first_has_closed(place: Path) -> None:
    code = "import sys; from pathlib import Path; from edge_runtime.results.append_only_file import Durable\n"
    code += "Durable(Path(sys.argv[1]), existing=True)"
    second = [sys.executable, "-c", code, str(place)]
    file = filled(place, b"mine\n")
    refused = subprocess.run(second, check=False, capture_output=True, cwd=ROOT, timeout=60)
    assert b"InUseError" in refused.stderr
    file.close()
    file.close()
    assert subprocess.run(second, check=False, cwd=ROOT, timeout=60).returncode == 0


def test_replacing_keeps_mode_and_lock_and_appends_to_the_new_file(place: Path) -> None:
    file = filled(place, b"a\n", b"b\n", b"c\n")
    place.chmod(0o640)
    file.replace(lambda: iter([b"a\n", b"c\n"]))
    file.append(b"d\n")
    assert place.read_bytes() == b"a\nc\nd\n"
    assert file.size == 6
    assert place.stat().st_mode & 0o777 == 0o640
    with pytest.raises(InUseError):
        Durable(place, existing=True)
    assert [path.name for path in place.parent.iterdir()] == ["file"]


def test_replacing_that_fails_leaves_the_old_file(place: Path) -> None:
    file = filled(place, b"a\n", b"b\n")

    def pieces() -> Iterator[bytes]:
        yield b"a\n"
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        file.replace(pieces)
    file.append(b"c\n")
    assert place.read_bytes() == b"a\nb\nc\n"
    assert [path.name for path in place.parent.iterdir()] == ["file"]


def test_a_file_that_was_replaced_while_it_was_opened_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise two processes would hold two files of one name, and one's answers would vanish."""
    filled(place, b"old\n").close()
    opened = os.open

    def late(path: Path, *arguments: int) -> int:
        file = opened(path, *arguments)
        (new := place.with_name("new")).write_bytes(b"new\n")
        new.replace(place)
        return file

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(InUseError):
        Durable(place, existing=True)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="device, pipe or socket"):
        Durable(Path("/dev/null"), existing=True)
    with pytest.raises(OSError, match="No such file"):
        Durable(tmp_path / "missing" / "file", existing=False)
