"""``edge-bundle install``, ``rollback``, ``remove``, and what ``list`` and ``info`` say of the installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.bundle import SHIPPED, TRUSTED_KEY, find
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
from edge_runtime.bundle.signing.keys import write_key_pair
from edge_runtime.bundle.signing.sealing import sign_folder
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import CARD, FILES


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store."""
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))
    monkeypatch.delenv(TRUSTED_KEY, raising=False)
    return tmp_path / "store"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return small_bundle.make(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return small_bundle.make(tmp_path / "new", version="1.1.0")


def test_install_says_where_what_is_kept_and_what_to_do_next(
    edge_bundle: Any, old: Path, new: Path, place: Path
) -> None:
    result = edge_bundle("install", old)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"tiny 1.0.0: installed in {place}/tiny/1.0.0.\n"
        "Check that this machine computes the same results: edge-bundle selftest tiny\n"
    )
    assert "; 1.0.0 is kept for rollback.\n" in edge_bundle("install", new).stdout
    again = edge_bundle("install", new)
    assert again.stdout == f"tiny 1.1.0: already installed in {place}/tiny/1.1.0; 1.0.0 is kept for rollback.\n"


def test_rollback_and_remove_say_what_is_current_then(edge_bundle: Any, old: Path, new: Path, place: Path) -> None:
    edge_bundle("install", old)
    alone = edge_bundle("rollback", "tiny")
    assert (alone.exit_code, alone.stdout) == (3, "")
    assert alone.stderr.startswith("error [store]: ")
    edge_bundle("install", new)
    back = edge_bundle("rollback", "tiny")
    assert back.stdout.startswith(f"tiny 1.0.0: made current again in {place}/tiny/1.0.0; 1.1.0 is kept")
    assert edge_bundle("remove", "tiny").stdout == f"{place}/tiny: removed.\n"
    assert (edge_bundle("remove", "tiny").exit_code, edge_bundle("info", "tiny").exit_code) == (3, 3)


def test_list_and_info_say_which_one_a_name_means(edge_bundle: Any, tmp_path: Path, place: Path) -> None:
    shipped = find(Path(SHIPPED, DEFAULT_MODEL)).manifest.spec.version
    assert f"{DEFAULT_MODEL} {shipped} " in edge_bundle("list").stdout
    assert "(shipped, current)" in edge_bundle("list").stdout
    assert "(shipped, current)" in edge_bundle("info", DEFAULT_MODEL).stdout
    for version in ("9.0.0", "9.1.0"):
        edge_bundle("install", small_bundle.make(tmp_path / version, name=DEFAULT_MODEL, version=version))
    lines = edge_bundle("list").stdout.splitlines()
    told = [(line.split("  ")[0], line.rsplit("(", 1)[1]) for line in lines if line.startswith(DEFAULT_MODEL)]
    assert told == [
        (f"{DEFAULT_MODEL} 9.1.0", "installed, current)"),
        (f"{DEFAULT_MODEL} 9.0.0", "installed, previous)"),
        (f"{DEFAULT_MODEL} {shipped}", "shipped, hidden by the installed one)"),
    ]
    info = edge_bundle("info", DEFAULT_MODEL).stdout
    assert f"found        {place}/{DEFAULT_MODEL}/9.1.0 (installed, current)\nsignature    none\n" in info
    assert "(named by its path)" in edge_bundle("info", tmp_path / "9.0.0").stdout


def test_list_goes_on_after_a_bundle_that_cannot_be_used(edge_bundle: Any, old: Path, place: Path) -> None:
    edge_bundle("install", old)
    (place / "tiny" / "1.0.0" / "bundle.json").write_text("{")
    result = edge_bundle("list")
    assert result.exit_code == 3
    assert "tiny 1.0.0  CANNOT BE USED [manifest]  (installed, current)\n" in result.stdout
    assert DEFAULT_MODEL in result.stdout
    assert result.stderr.startswith(f"error [manifest]: {place}/tiny/1.0.0/bundle.json: ")


@pytest.mark.parametrize("by_environment", [False, True])
def test_under_a_key_only_what_it_signed_is_installed(
    by_environment: bool, edge_bundle: Any, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_key_pair(tmp_path / "maker")
    key = [] if by_environment else ["--key", tmp_path / "maker.pub"]
    if by_environment:
        monkeypatch.setenv(TRUSTED_KEY, str(tmp_path / "maker.pub"))
    for command in ("install", "verify"):
        result = edge_bundle(command, old, *key)
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.startswith(f"error [signature_missing]: {old}: found no bundle.sig")
    sign_folder(old, tmp_path / "maker")
    assert edge_bundle("install", old, *key).exit_code == 0
    verified = edge_bundle("verify", "tiny", *key)
    assert (verified.exit_code, verified.stdout.count("\n")) == (0, 2)
    assert "bundle.json is what key " in verified.stdout


def test_an_older_version_needs_a_word(edge_bundle: Any, old: Path, new: Path, place: Path) -> None:
    edge_bundle("install", new)
    refused = edge_bundle("install", old)
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert refused.stderr == (
        "error [version_older]: tiny 1.0.0: found an older version than 1.1.0, which is installed. To go back on "
        "purpose: edge-bundle install --allow-downgrade, or edge-bundle rollback tiny\n"
    )
    taken = edge_bundle("install", "--allow-downgrade", old)
    assert taken.stdout.startswith(f"tiny 1.0.0: installed in {place}/tiny/1.0.0; 1.1.0 is kept for rollback.\n")


@pytest.mark.parametrize("option", ["--key", "--trusted-key"])
@pytest.mark.parametrize("command", ["install", "verify", "rollback"])
def test_an_empty_key_is_never_no_key(
    command: str, option: str, edge_bundle: Any, old: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge_bundle("install", old)
    edge_bundle("install", new)
    what = "tiny" if command == "rollback" else new
    (tmp_path / "empty.pub").touch()
    for empty, words in (("", "found an empty path"), (tmp_path / "empty.pub", "found an empty file")):
        result = edge_bundle(command, what, option, empty)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("error [key_file]: ")
        assert words in result.stderr
    monkeypatch.setenv(TRUSTED_KEY, "")
    result = edge_bundle(command, what)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"unset {TRUSTED_KEY}" in result.stderr


@pytest.mark.parametrize("name", ["bundle.sig", "bundle.json", "MODEL_CARD.md"])
def test_a_pipe_in_a_files_place_is_named_by_every_command(
    edge_bundle: Any, name: str, old: Path, tmp_path: Path
) -> None:
    write_key_pair(tmp_path / "maker")
    sign_folder(old, tmp_path / "maker")
    (old / name).unlink()
    os.mkfifo(old / name)
    key = ("--key", tmp_path / "maker.pub")
    for arguments in (("info", old), ("verify", old), ("verify", old, *key), ("install", old, *key), ("selftest", old)):
        if name == "MODEL_CARD.md" and arguments[0] in ("info", "selftest"):
            continue  # neither reads it
        result = edge_bundle(*arguments)
        if name == "bundle.sig" and len(arguments) == 2 and arguments[0] != "info":
            continue  # without a key it is not read
        assert (result.exit_code, result.stdout) == (3, ""), arguments
        assert f"{name}" in result.stderr
        assert "a pipe, expected a regular file" in result.stderr


def test_an_altered_bundle_is_not_installed(edge_bundle: Any, old: Path, place: Path) -> None:
    (old / CARD).write_text("Better than any radiologist.\n")
    result = edge_bundle("install", old)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"error [integrity]: {old}: {CARD} has 29 bytes, bundle.json names 8. ")
    assert not place.exists()


def test_verify_says_that_a_signature_was_not_checked(edge_bundle: Any, old: Path, tmp_path: Path) -> None:
    write_key_pair(tmp_path / "maker")
    sign_folder(old, tmp_path / "maker")
    assert edge_bundle("verify", old).stdout == (
        f"{old}: {FILES} files are the ones that bundle.json names.\n"
        "bundle.sig was not checked: name the public key with --key.\n"
    )


def test_a_command_line_that_cannot_be_used_leaves_with_2(edge_bundle: Any, old: Path) -> None:
    for arguments in (("install",), ("remove",), ("rollback", "a", "b"), ("install", old, "--key", old / "no.pub")):
        assert edge_bundle(*arguments).exit_code == 2, arguments


def test_help_names_the_environment_variable_and_the_statuses(edge_bundle: Any) -> None:
    assert TRUSTED_KEY in edge_bundle("install", "--help").stdout
    shown = edge_bundle("--help").stdout
    assert all(word in shown for word in ("install", "rollback", "remove", "key", "sign", "not signed by the trusted"))
