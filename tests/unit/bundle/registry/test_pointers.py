"""Where installed bundles are looked for, and what a name means."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from edge_runtime.bundle.bundle import SHIPPED, SIGNATURE, find
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
from edge_runtime.bundle.registry.install import install, remove, rollback
from edge_runtime.bundle.registry.pointers import POINTER, installed, store_folder
from edge_runtime.errors import IntegrityError, StoreError
from tests.unit.bundle.registry.state import Make, assert_whole, on_disk


def test_a_signed_bundle_in_the_place_of_another_is_refused(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    install(make("1.1.0"))
    shutil.rmtree(place / "tiny" / "1.1.0")
    shutil.copytree(place / "tiny" / "1.0.0", place / "tiny" / "1.1.0")
    with pytest.raises(IntegrityError, match=r"found tiny 1\.0\.0, expected tiny 1\.1\.0"):
        find("tiny")


def test_an_installed_bundle_hides_the_shipped_one_and_a_folder_until_it_is_removed(
    make: Make, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    install(make("9.0.0", name=DEFAULT_MODEL))
    (tmp_path / DEFAULT_MODEL).mkdir()
    assert find(DEFAULT_MODEL).manifest.spec.version == "9.0.0"
    assert find(Path(SHIPPED, DEFAULT_MODEL)).manifest.spec.version != "9.0.0"
    remove(DEFAULT_MODEL)
    assert find(DEFAULT_MODEL).where == str(Path(SHIPPED, DEFAULT_MODEL))
    assert on_disk(place) == []


POINTERS = ["", "{", "{}", '{"schema":2,"current":"1.0.0","previous":null}', '{"schema":1,"current":"../../made"}']
POINTERS += ['{"schema":1,"current":"1.0.0","current":"1.0.0","previous":null}', '{"schema":1,"current":"01.0.0"}']
POINTERS += ['{"schema":1,"current":"1.0.0/.."}', '{"schema":1,"current":"1.0.0","previous":"/etc"}', "\xff"]


@pytest.mark.parametrize("text", POINTERS)
def test_a_pointer_that_leads_elsewhere_is_refused_and_can_be_removed(text: str, make: Make, place: Path) -> None:
    install(make("1.0.0"))
    (place / "tiny" / POINTER).write_bytes(text.encode("latin-1"))
    for call in (lambda: find("tiny"), installed, lambda: install(make("1.1.0")), lambda: rollback("tiny")):
        with pytest.raises(StoreError, match=r"current\.json.*edge-bundle remove tiny"):
            call()
    remove("tiny")
    install(make("1.1.0"))
    assert_whole(place)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_round(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def very_large(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize("instead", [pipe, link_round, link_to_nothing, very_large, Path.mkdir])
def test_a_pointer_that_is_no_file_of_its_size_is_named_and_can_be_removed(
    instead: Callable[[Path], None], make: Make, place: Path
) -> None:
    """A name whose pointer cannot be read must not mean the bundle that ships."""
    install(make("9.0.0", name=DEFAULT_MODEL))
    (place / DEFAULT_MODEL / POINTER).unlink()
    instead(place / DEFAULT_MODEL / POINTER)
    for call in (lambda: find(DEFAULT_MODEL), installed, lambda: rollback(DEFAULT_MODEL)):
        with pytest.raises(StoreError, match=rf"current\.json: cannot be read .*edge-bundle remove {DEFAULT_MODEL}"):
            call()
    remove(DEFAULT_MODEL)
    assert find(DEFAULT_MODEL).where == str(Path(SHIPPED, DEFAULT_MODEL))


@pytest.mark.parametrize("instead", [pipe, link_round, Path.mkdir])
def test_a_lock_that_is_no_file_is_named(instead: Callable[[Path], None], make: Make, place: Path) -> None:
    place.mkdir()
    instead(place / ".lock")
    with pytest.raises(StoreError, match=r"cannot be changed"):
        install(make("1.0.0"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_store_that_may_not_be_read_or_written_is_named(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    (place / "tiny").chmod(0)
    with pytest.raises(StoreError, match="Permission denied"):
        find("tiny")
    (place / "tiny").chmod(0o700)


def test_a_store_that_is_a_file_is_named(make: Make, place: Path) -> None:
    place.write_text("x")
    with pytest.raises(StoreError, match=r"cannot be changed .* EDGE_MODELS"):
        install(make("1.0.0"))
    assert find(DEFAULT_MODEL).where == str(Path(SHIPPED, DEFAULT_MODEL))


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store_folder() == tmp_path / "store"
    monkeypatch.delenv("EDGE_MODELS")
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert store_folder() == Path("/data/edge-predict/models")
    for unusable in ("", "relative/path"):
        monkeypatch.setenv("XDG_DATA_HOME", unusable)
        assert store_folder() == Path("/home/someone/.local/share/edge-predict/models")


def test_a_user_without_a_home_has_what_ships(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("EDGE_MODELS", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert find(DEFAULT_MODEL).where == str(Path(SHIPPED, DEFAULT_MODEL))
    assert installed() == ()
    with pytest.raises(StoreError, match="EDGE_MODELS"):
        install(make("1.0.0"))


def test_the_pointer_is_plain_json(make: Make, place: Path) -> None:
    install(make("1.0.0"))
    text = (place / "tiny" / POINTER).read_text(encoding="ascii")
    assert json.loads(text) == {"schema": 1, "current": "1.0.0", "previous": None}
    assert not (place / "tiny" / "1.0.0" / SIGNATURE).exists()
