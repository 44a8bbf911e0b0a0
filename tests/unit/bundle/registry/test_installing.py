"""Install, roll back and remove: what changes, what stays, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_runtime.bundle import bundle
from edge_runtime.bundle.bundle import MANIFEST, SHIPPED, TRUSTED_KEY, find
from edge_runtime.bundle.registry import install as installing
from edge_runtime.bundle.registry import versions as versions_module
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
from edge_runtime.bundle.registry.install import InstallOutcome, install, remove, rollback
from edge_runtime.bundle.registry.pointers import POINTER, Pointer, installed
from edge_runtime.bundle.signing.keys import write_key_pair
from edge_runtime.bundle.signing.sealing import sign_folder
from edge_runtime.errors import (
    BundleError,
    BundleNotFoundError,
    IntegrityError,
    KeyFileError,
    SignatureError,
    StoreError,
)
from tests.unit.bundle.registry.state import Make, assert_whole, on_disk, versions
from tests.unit.bundle.small_bundle import CARD, MODEL


def test_an_installed_bundle_is_found_by_its_name_and_is_a_copy(make: Make, place: Path) -> None:
    source = make("1.0.0")
    change = install(source)
    shutil.rmtree(source)
    assert (change.name, change.outcome, change.folder) == ("tiny", InstallOutcome.INSTALLED, place / "tiny" / "1.0.0")
    assert find("tiny").where == str(place / "tiny" / "1.0.0")
    assert_whole(place)
    assert on_disk(place) == ["tiny", "tiny/1.0.0", f"tiny/{POINTER}"]


def test_a_zip_installs_as_its_folder_does(make: Make, place: Path) -> None:
    source = make("1.0.0")
    install(shutil.make_archive(str(source), "zip", source))
    assert {p.name: p.read_bytes() for p in (place / "tiny" / "1.0.0").iterdir()} == {
        p.name: p.read_bytes() for p in source.iterdir()
    }


def test_the_version_before_is_kept_and_older_ones_go(make: Make, place: Path) -> None:
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        install(make(version))
    assert versions(place) == ("2.0.0", "1.1.0")
    assert on_disk(place) == ["tiny", "tiny/1.1.0", "tiny/2.0.0", f"tiny/{POINTER}"]
    assert [(row.version, row.current) for row in installed()] == [("2.0.0", True), ("1.1.0", False)]


def test_rollback_swaps_the_two_and_back(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    with pytest.raises(StoreError, match=r"found 1\.0\.0 alone, expected a previous version"):
        rollback("tiny")
    install(make("1.1.0"))
    assert rollback("tiny").pointer == Pointer(1, "1.0.0", "1.1.0")
    assert assert_whole(place) == "1.0.0"
    rollback("tiny")
    assert versions(place) == ("1.1.0", "1.0.0")


def test_a_damaged_previous_version_is_not_returned_to(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    install(make("1.1.0"))
    (place / "tiny" / "1.0.0" / CARD).write_text("x")
    with pytest.raises(IntegrityError, match=CARD):
        rollback("tiny")
    assert versions(place) == ("1.1.0", "1.0.0")


def test_the_same_bytes_again_change_nothing(make: Make, place: Path) -> None:
    source = make("1.0.0")
    install(source)
    before = {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file() and p.name != ".lock"}
    assert install(source).outcome is InstallOutcome.UNCHANGED
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file() and p.name != ".lock"} == before


def test_the_previous_version_again_is_made_current(make: Make, place: Path) -> None:
    old = make("1.0.0")
    install(old)
    install(make("1.1.0"))
    assert install(old, allow_downgrade=True).outcome is InstallOutcome.RETURNED
    assert versions(place) == ("1.0.0", "1.1.0")


@pytest.mark.parametrize("old, new", [("1.0.0", "1.0.1"), ("1.9.0", "1.10.0"), ("9.9.9", "10.0.0"), ("1.1.9", "1.2.0")])
@pytest.mark.parametrize("sign", [False, True])
def test_an_older_version_takes_the_place_of_a_newer_one_on_request_alone(
    old: str, new: str, sign: bool, make: Make, place: Path, tmp_path: Path
) -> None:
    write_key_pair(tmp_path / "maker")
    key = tmp_path / "maker.pub" if sign else None
    sources = {version: make(version) for version in (old, new)}
    if sign:
        for source in sources.values():
            sign_folder(source, tmp_path / "maker")
    for version in (old, new):  # upwards, nothing is asked
        install(sources[version], trusted_key=key)
    remove("tiny")
    install(sources[new], trusted_key=key)
    before = on_disk(place)
    for source in (sources[old], Path(shutil.make_archive(str(sources[old]), "zip", sources[old]))):
        with pytest.raises(StoreError, match=rf"found an older version than {new}, which is installed") as caught:
            install(source, trusted_key=key)
        assert (caught.value.code, caught.value.exit_code) == ("version_older", 3)
        assert "--allow-downgrade" in caught.value.message
    assert (versions(place), on_disk(place)) == ((new,), before)
    assert install(sources[old], trusted_key=key, allow_downgrade=True).pointer == Pointer(1, old, new)


def test_what_was_asked_for_once_stays_and_can_be_mended(make: Make, place: Path) -> None:
    old, new = make("1.0.0"), make("1.1.0")
    for source in (old, new):
        install(source)
    rollback("tiny")
    (place / "tiny" / "1.0.0" / CARD).write_text("x")
    assert install(old).outcome is InstallOutcome.MENDED
    assert versions(place) == ("1.0.0", "1.1.0")
    assert install(new).outcome is InstallOutcome.RETURNED


def test_an_older_version_does_not_hide_the_one_that_ships(make: Make, place: Path) -> None:
    old = make("0.0.1", name=DEFAULT_MODEL)
    with pytest.raises(StoreError, match=r"found an older version than .*, which ships") as caught:
        install(old)
    assert caught.value.code == "version_older"
    assert find(DEFAULT_MODEL).where == str(Path(SHIPPED, DEFAULT_MODEL))
    install(old, allow_downgrade=True)
    assert find(DEFAULT_MODEL).manifest.spec.version == "0.0.1"


def test_a_shipped_bundle_that_is_damaged_stops_no_installation(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(SHIPPED, DEFAULT_MODEL), tmp_path / "ships" / DEFAULT_MODEL)
    (tmp_path / "ships" / DEFAULT_MODEL / MANIFEST).write_text("{")
    for module in (bundle, versions_module):
        monkeypatch.setattr(module, "SHIPPED", tmp_path / "ships")
    assert install(make("0.0.1", name=DEFAULT_MODEL)).outcome is InstallOutcome.INSTALLED


def test_the_key_of_the_environment_is_trusted_too(
    make: Make, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_key_pair(tmp_path / "maker")
    unsigned = make("1.0.0")
    for key, error in ((str(tmp_path / "maker.pub"), SignatureError), ("", KeyFileError)):
        monkeypatch.setenv(TRUSTED_KEY, key)
        with pytest.raises(error):
            install(unsigned)
    assert not place.exists()
    monkeypatch.delenv(TRUSTED_KEY)
    install(unsigned)
    install(make("1.1.0"))
    monkeypatch.setenv(TRUSTED_KEY, str(tmp_path / "maker.pub"))
    with pytest.raises(SignatureError):
        rollback("tiny")


@pytest.mark.parametrize("name", [MANIFEST, MODEL, CARD])
def test_a_copy_that_the_disk_altered_is_not_made_current(
    name: str, make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was verified is the source; what runs is the copy."""
    install(make("1.0.0"))
    honest, new = installing.write, make("1.1.0")

    def write(path: Path, data: bytes) -> None:
        honest(path, data[:-2] + bytes([data[-2] ^ 1]) + data[-1:] if path.name == name else data)

    monkeypatch.setattr(installing, "write", write)
    with pytest.raises(BundleError, match=name):
        install(new)
    assert versions(place) == ("1.0.0",)
    assert_whole(place)
    assert not (place / "tiny" / "1.1.0").exists()


def test_another_bundle_that_comes_in_the_sources_place_is_not_installed_under_its_name(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, other, honest = make("1.1.0"), make("1.0.0"), installing.sync_names

    def swapped(folder: Path) -> None:
        if folder.name.startswith(".work-"):
            shutil.rmtree(folder)
            shutil.copytree(other, folder)
        honest(folder)

    monkeypatch.setattr(installing, "sync_names", swapped)
    with pytest.raises(IntegrityError, match="the bundle was replaced during installation"):
        install(source)
    assert versions(place) == ()


def test_a_folder_in_a_files_place_is_mended(make: Make, place: Path) -> None:
    source, here = make("1.0.0"), place / "tiny" / "1.0.0"
    install(source)
    (here / CARD).unlink()
    (here / CARD).mkdir()
    (here / CARD / "x").touch()
    assert install(source).outcome is InstallOutcome.MENDED
    assert_whole(place)


def test_other_bytes_under_the_same_version_are_refused(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    with pytest.raises(StoreError, match=r"version 1\.0\.0 is installed with another bundle\.json") as caught:
        install(make("1.0.0", card="Another card.\n"))
    assert (caught.value.code, caught.value.exit_code) == ("version_conflict", 3)
    assert (place / "tiny" / "1.0.0" / CARD).read_text() == "A card.\n"


def test_installing_again_mends_what_the_disk_lost(make: Make, place: Path) -> None:
    source, here = make("1.0.0"), place / "tiny" / "1.0.0"
    install(source)
    (here / CARD).unlink()
    (here / MODEL).write_bytes((here / MODEL).read_bytes()[:-1])
    (here / "more.txt").write_text("x")
    assert install(source).outcome is InstallOutcome.MENDED
    assert_whole(place)
    assert install(source).outcome is InstallOutcome.UNCHANGED


def test_a_version_whose_folder_is_gone_is_named_and_can_be_installed_again(make: Make, place: Path) -> None:
    source = make("1.0.0")
    install(source)
    shutil.rmtree(place / "tiny" / "1.0.0")
    with pytest.raises(StoreError, match=r"version 1\.0\.0 is current, but its folder is missing"):
        find("tiny")
    assert install(source).outcome is InstallOutcome.INSTALLED
    assert_whole(place)


def test_what_is_altered_or_no_bundle_is_not_installed(make: Make, place: Path) -> None:
    source = make("1.0.0")
    with pytest.raises(BundleNotFoundError, match="found a single model file"):
        install(source / MODEL)
    (source / "more.txt").write_text("x")
    with pytest.raises(IntegrityError, match=r"more\.txt"):
        install(source)
    (source / "more.txt").unlink()
    (source / CARD).write_text("x")
    with pytest.raises(IntegrityError, match=CARD):
        install(source)
    assert not place.exists()


def test_a_name_too_long_for_a_folder_is_refused(make: Make) -> None:
    with pytest.raises(StoreError, match="too long; shorten it"):
        install(make("1.0.0", name="x" * 101))


def test_under_a_key_only_what_it_signed_is_installed_and_returned_to(make: Make, place: Path, tmp_path: Path) -> None:
    write_key_pair(tmp_path / "maker")
    trusted = tmp_path / "maker.pub"
    unsigned, signed = make("1.0.0"), make("1.1.0")
    with pytest.raises(SignatureError, match="found no"):
        install(unsigned, trusted_key=trusted)
    assert not place.exists()
    install(unsigned)
    sign_folder(signed, tmp_path / "maker")
    install(signed, trusted_key=trusted)
    assert find("tiny", trusted_key=trusted).manifest.spec.version == "1.1.0"
    with pytest.raises(SignatureError, match="found no"):
        rollback("tiny", trusted_key=trusted)
    assert versions(place) == ("1.1.0", "1.0.0")
    sign_folder(unsigned, tmp_path / "maker")
    again = install(unsigned, trusted_key=trusted, allow_downgrade=True)
    assert again.outcome is InstallOutcome.MENDED  # the signature came later
    assert find("tiny", trusted_key=trusted).manifest.spec.version == "1.0.0"


@pytest.mark.parametrize("name", ["nothing", "", "..", "../made", "a/b", ".lock", DEFAULT_MODEL])
def test_what_is_not_installed_cannot_be_removed_or_rolled_back(name: str, make: Make, place: Path) -> None:
    install(make("1.0.0"))
    for change in (remove, rollback):
        with pytest.raises(BundleNotFoundError, match="found no installed bundle"):
            change(name)
    assert_whole(place)
