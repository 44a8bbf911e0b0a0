"""An image is taken when it is at rest, once for each content, in order of arrival."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.images import discovery
from edge_runtime.results.lines import FileStamp, ImageIdentity
from edge_runtime.results.watcher import Watch

SECOND = 1_000_000_000


def put(path: Path, content: bytes = b"image", at_s: int = 1000) -> ImageIdentity:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(at_s * SECOND, at_s * SECOND))
    return ImageIdentity(str(path), FileStamp(len(content), at_s * SECOND))


def test_a_image_is_taken_at_the_second_look(tmp_path: Path) -> None:
    watch, image = Watch(tmp_path), put(tmp_path / "a.png")
    assert watch.look(()) == []
    assert watch.look(()) == [image]
    assert watch.look(()) == [image], "until it is known"
    assert watch.look({image}) == []


def test_a_image_that_grows_is_left_until_it_rests(tmp_path: Path) -> None:
    watch, known = Watch(tmp_path), set[ImageIdentity]()
    for size in range(1, 6):
        put(tmp_path / "a.png", b"x" * size)
        assert watch.look(known) == []
    assert watch.look(known) == [ImageIdentity(str(tmp_path / "a.png"), FileStamp(5, 1000 * SECOND))]


def test_a_image_rewritten_in_place_at_the_same_size_is_not_at_rest(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    for second in (1000, 1001):
        put(tmp_path / "a.png", at_s=second)
        assert watch.look(()) == []


def test_a_image_that_was_moved_in_keeps_its_age_and_is_taken(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "in")
    put(tmp_path / "in" / "new.png", at_s=2000)
    old = put(tmp_path / "elsewhere.png", at_s=5)
    watch.look(())
    (tmp_path / "elsewhere.png").rename(tmp_path / "in" / "old.png")
    watch.look(())
    names = [Path(image.image).name for image in watch.look(())]
    assert names == ["old.png", "new.png"]
    assert old.file is not None


def test_order_is_last_change_then_name(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    for name, second in (("c.png", 1), ("b.png", 2), ("a.png", 2), ("sub/d.png", 0)):
        put(tmp_path / name, at_s=second)
    watch.look(())
    found = [Path(image.image).relative_to(tmp_path).as_posix() for image in watch.look(())]
    assert found == ["sub/d.png", "c.png", "a.png", "b.png"]


def test_a_replaced_image_is_a_new_one(tmp_path: Path) -> None:
    watch, first = Watch(tmp_path), put(tmp_path / "a.png")
    watch.look(())
    for change in ({"content": b"longer image"}, {"at_s": 1001}):
        other = put(tmp_path / "a.png", **change)  # type: ignore[arg-type]
        assert watch.look({first}) == []
        assert watch.look({first}) == [other]
        assert other != first


@pytest.mark.parametrize(
    "name", [".a.png", ".tmp/a.png", "~a.png", "a.png.part", "a.png.tmp", "a.crdownload", "a.png~"]
)
def test_hidden_temporary_and_unfinished_files_are_left(name: str, tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    put(tmp_path / name)
    watch.look(())
    assert watch.look(()) == []


def test_a_watched_folder_may_lie_below_a_hidden_one(tmp_path: Path) -> None:
    watch, image = Watch(tmp_path / ".cache" / "in"), put(tmp_path / ".cache" / "in" / "a.png")
    watch.look(())
    assert watch.look(()) == [image]


def test_a_link_to_nothing_is_left_until_it_leads_somewhere(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    (tmp_path / "a.png").symlink_to("target")
    assert watch.look(()) == watch.look(()) == []
    assert watch.unreadable == ()
    put(tmp_path / "target")
    watch.look(())
    assert len(watch.look(())) == 1


def test_a_folder_that_goes_away_is_told_and_taken_up_again(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    image, watch = put(folder / "a.png"), Watch(folder)
    watch.look(())
    shutil.move(folder, tmp_path / "away")
    assert watch.look(()) == []
    assert [error.code for error in watch.unreadable] == ["folder_unreadable"]
    assert str(folder) in watch.unreadable[0].message
    shutil.move(tmp_path / "away", folder)
    assert watch.look(()) == [], "what comes back may have been changed meanwhile"
    assert watch.look(()) == [image]
    assert watch.unreadable == ()


class Sealed:
    """A directory entry whose file cannot be looked at."""

    def __init__(self, entry: os.DirEntry[str], number: int) -> None:
        self.name, self.path, self._number = entry.name, entry.path, number

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return False

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> os.stat_result:
        raise OSError(self._number, os.strerror(self._number), self.path)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EACCES, "folder_unreadable"), (errno.EIO, "machine_io"), (errno.EMFILE, "machine_descriptors")],
)
def test_a_folder_that_can_be_listed_and_not_entered_is_told_once(
    number: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "b.png")
    listed = os.scandir

    @contextmanager
    def sealed(path: str) -> Iterator[Iterator[Sealed]]:
        with listed(path) as entries:
            yield (Sealed(entry, number) for entry in entries)

    monkeypatch.setattr(os, "scandir", sealed)
    watch = Watch(tmp_path)
    assert watch.look(()) == []
    assert [(error.code, error.message.split(":")[0]) for error in watch.unreadable] == [(code, str(tmp_path))]


def test_links_that_lead_nowhere_hide_no_other_image(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "through.png").symlink_to(tmp_path / "b.png" / "c.png")
    image, watch = put(tmp_path / "b.png"), Watch(tmp_path)
    watch.look(())
    assert watch.look(()) == [image]
    assert watch.unreadable == ()


def test_what_is_known_is_looked_up_once_and_found_again_when_it_changes(tmp_path: Path) -> None:
    """A settled file costs a listing; one that is written again in place does not change its folder's times."""
    images = [put(tmp_path / place / f"{n}.png") for place in ("", "sub") for n in range(5)]

    class Known(set[ImageIdentity]):
        asked = 0

        def __contains__(self, identity: object) -> bool:
            self.asked += 1
            return super().__contains__(identity)

    watch, known = Watch(tmp_path), Known(images)
    for _ in range(4):
        assert watch.look(known) == []
    assert known.asked == len(images)
    other = put(tmp_path / "sub" / "3.png", at_s=2000)
    assert watch.look(known) == []
    assert watch.look(known) == [other]


def test_paths_are_named_as_the_folder_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in" / "sub" / "a.png")
    monkeypatch.chdir(tmp_path / "in")
    for folder in (Path(), Path("../in"), tmp_path / "in"):
        watch = Watch(folder)
        watch.look(())
        assert [image.image for image in watch.look(())] == [str(folder / "sub" / "a.png")]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are opened, in order."""
    names, whole = list[str](), discovery.head_of

    def head(path: str) -> bytes:
        names.append(Path(path).name)
        return whole(path)

    monkeypatch.setattr(discovery, "head_of", head)
    return names


def test_what_needs_no_answer_and_has_not_changed_is_not_opened_again(tmp_path: Path, opened: list[str]) -> None:
    png, text = b"\x89PNG\r\n\x1a\n", b"text"
    put(tmp_path / "b", text)
    known = {put(tmp_path / "a", png), put(tmp_path / "c.png", png)}
    watch = Watch(tmp_path)
    assert watch.look(known) == []
    assert opened == ["b"], "what is known is not opened at all"
    assert watch.look(known) == []
    assert opened == ["b"]
    changed, new = put(tmp_path / "b", png, at_s=1001), put(tmp_path / "d", png)
    (tmp_path / "a").unlink()
    watch.look(known)
    assert sorted(opened[1:]) == ["b", "d"]
    assert watch.look(known) == [new, changed]
