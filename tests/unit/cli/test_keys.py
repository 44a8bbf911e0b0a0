"""``edge-bundle key`` and ``edge-bundle sign``: what they print, write and refuse."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.bundle import SIGNATURE, find
from edge_runtime.bundle.signing.keys import read_public_keys
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import CARD, FILES


@pytest.fixture(autouse=True)
def no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_MODELS", str(tmp_path / "store"))


def test_key_writes_two_files_and_names_the_public_one(edge_bundle: Any, tmp_path: Path) -> None:
    result = edge_bundle("key", tmp_path / "maker")
    assert (result.exit_code, result.stderr) == (0, "")
    (public,) = read_public_keys(tmp_path / "maker.pub")
    assert f"{tmp_path}/maker.pub: public key {public.fingerprint[:16]}; " in result.stdout
    assert stat.S_IMODE((tmp_path / "maker").stat().st_mode) == 0o600
    assert "PRIVATE" not in result.stdout


def test_key_overwrites_nothing(edge_bundle: Any, tmp_path: Path) -> None:
    edge_bundle("key", tmp_path / "maker")
    before = (tmp_path / "maker").read_bytes()
    result = edge_bundle("key", tmp_path / "maker")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error [key_file]: {tmp_path}/maker: found an existing file")
    assert (tmp_path / "maker").read_bytes() == before


def test_sign_writes_the_signature_that_verify_wants(edge_bundle: Any, tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    edge_bundle("key", tmp_path / "maker")
    result = edge_bundle("sign", folder, "--key", tmp_path / "maker")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{folder}: signed by key ")
    assert find(folder, trusted_key=tmp_path / "maker.pub").verify() == FILES


def test_sign_refuses_what_is_not_whole_and_what_is_no_private_key(edge_bundle: Any, tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    edge_bundle("key", tmp_path / "maker")
    wrong = edge_bundle("sign", folder, "--key", tmp_path / "maker.pub")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    (folder / CARD).write_text("x")
    altered = edge_bundle("sign", folder, "--key", tmp_path / "maker")
    assert (altered.exit_code, altered.stdout) == (3, "")
    assert altered.stderr.startswith("error [integrity]: ")
    assert not (folder / SIGNATURE).exists()


def test_without_the_package_the_pip_command_is_shown(
    edge_bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    result = edge_bundle("key", tmp_path / "maker")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error [signing_missing]: ")
    assert 'pip install "edge-predict[sign]"' in result.stderr
    assert not list(tmp_path.glob("maker*"))
