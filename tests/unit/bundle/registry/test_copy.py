"""What is installed was read back from the disk before anything points to it, and is on the disk in that order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE
from edge_runtime.bundle.registry.install import install, rollback
from edge_runtime.bundle.registry.pointers import POINTER
from edge_runtime.bundle.signing.keys import write_key_pair
from edge_runtime.bundle.signing.sealing import sign_folder
from edge_runtime.errors import BundleError, IntegrityError, SignatureError
from tests.unit.bundle.registry.state import Make, assert_whole, on_disk, versions
from tests.unit.bundle.small_bundle import CARD, MODEL
from tests.unit.platform.sync_record import Sync, record


def losing(source: Path, name: str) -> Callable[[Sync], None]:
    """A disk that takes a file of the bundle, and holds another byte in its middle afterwards."""
    wanted = (source / name).read_bytes()

    def disturb(call: Sync) -> None:
        if call.content == wanted:  # by content: a file may have another name while it is written
            data = bytearray(wanted)
            data[len(data) // 2] ^= 1
            call.path.write_bytes(data)

    return disturb


@pytest.mark.parametrize("name", [MODEL, CARD, MANIFEST])
def test_a_copy_that_the_disk_altered_is_not_made_current(
    name: str, make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source is whole, and so is what was read from it: only the copy tells."""
    source = make("1.0.0")
    place.mkdir()
    record(place, monkeypatch, losing(source, name))
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        install(source)
    assert versions(place) == ()
    assert on_disk(place) == []


def test_a_copy_that_the_disk_altered_leaves_the_version_before_in_use(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(make("1.0.0"))
    source = make("1.1.0")
    record(place, monkeypatch, losing(source, MODEL))
    with pytest.raises(IntegrityError, match=MODEL):
        install(source)
    assert versions(place) == ("1.0.0",)
    assert assert_whole(place) == "1.0.0"


def test_a_file_that_the_disk_alters_while_it_is_mended_is_not_told_as_mended(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("1.0.0")
    install(source)
    (place / "tiny" / "1.0.0" / MODEL).write_bytes(b"")
    with monkeypatch.context() as broken:
        record(place, broken, losing(source, MODEL))
        with pytest.raises(IntegrityError, match=MODEL):
            install(source)
    install(source)
    assert_whole(place)


def test_the_copys_own_signature_is_checked_under_a_key(
    make: Make, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_key_pair(tmp_path / "maker")
    source = make("1.0.0")
    sign_folder(source, tmp_path / "maker")
    place.mkdir()
    record(place, monkeypatch, losing(source, SIGNATURE))
    with pytest.raises(SignatureError):
        install(source, trusted_key=tmp_path / "maker.pub")
    assert on_disk(place) == []


def test_every_file_is_on_the_disk_before_the_folder_has_its_name(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("1.0.0")
    place.mkdir()
    calls = record(place, monkeypatch)
    here = install(source).folder
    for path in here.iterdir():
        held = [call for call in calls if call.inode == path.stat().st_ino]
        assert held, f"{path.name} was never handed to the disk"
        assert held[0].content == path.read_bytes()
        assert "tiny/1.0.0" not in held[0].listing, f"{path.name} was handed over after the rename"
    names = [call for call in calls if call.inode == here.stat().st_ino]
    assert names, "the copy's folder was never handed to the disk"
    assert "tiny/1.0.0" not in names[0].listing
    hidden = next(name for name, inode in names[0].listing.items() if inode == here.stat().st_ino)
    inside = {name.removeprefix(f"{hidden}/") for name in names[0].listing if name.startswith(f"{hidden}/")}
    assert inside == {path.name for path in here.iterdir()}


def test_the_pointer_changes_when_all_that_it_points_to_has_its_name_on_the_disk(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("1.0.0")
    place.mkdir()
    calls = record(place, monkeypatch)
    install(source)
    pointer = (place / "tiny" / POINTER).stat().st_ino

    def handed(folder: Path, holding: str) -> list[int]:
        inode = folder.stat().st_ino
        return [at for at, call in enumerate(calls) if call.inode == inode and holding in call.listing]

    written = [at for at, call in enumerate(calls) if call.inode == pointer]
    assert json.loads(calls[written[0]].content or b"")["current"] == "1.0.0"
    assert f"tiny/{POINTER}" not in calls[written[0]].listing, "current.json was renamed before it was on the disk"
    assert min(handed(place, "tiny")) < written[0], "the bundle's name"
    assert min(handed(place / "tiny", "tiny/1.0.0")) < written[0], "the version's name"
    assert handed(place / "tiny", f"tiny/{POINTER}"), "the pointer's name"


def test_a_rollback_is_on_the_disk_before_it_is_told(make: Make, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(make("1.0.0"))
    install(make("1.1.0"))
    old = (place / "tiny" / POINTER).stat().st_ino
    calls = record(place, monkeypatch)
    rollback("tiny")
    new = (place / "tiny" / POINTER).stat().st_ino
    assert [call for call in calls if call.inode == new and call.listing[f"tiny/{POINTER}"] == old]
    folder = (place / "tiny").stat().st_ino
    assert [call for call in calls if call.inode == folder and call.listing[f"tiny/{POINTER}"] == new]


def test_a_mended_file_is_on_the_disk_before_it_replaces_the_damaged_one(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("1.0.0")
    here = install(source).folder
    (here / MODEL).write_bytes(b"")
    old = (here / MODEL).stat().st_ino
    calls = record(place, monkeypatch)
    install(source)
    new = (here / MODEL).stat().st_ino
    key = f"tiny/1.0.0/{MODEL}"
    assert [call for call in calls if call.inode == new and call.listing[key] == old]
    assert [call for call in calls if call.inode == here.stat().st_ino and call.listing[key] == new]


def test_the_longest_name_is_installed_and_one_letter_more_is_not(make: Make, place: Path) -> None:
    assert install(make("1.0.0", name="x" * 100)).folder == place / ("x" * 100) / "1.0.0"
    with pytest.raises(BundleError, match="too long; shorten it"):
        install(make("1.0.0", name="x" * 101))
