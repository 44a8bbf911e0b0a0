"""The folders of a user, as the XDG Base Directory Specification places them."""

from __future__ import annotations

import pwd
from typing import NoReturn

import pytest

from edge_runtime.platform.users_folder import users_folder


@pytest.mark.parametrize(
    ("variable", "found"),
    [("/data", "/data"), ("", "/home/someone/.local/share"), ("relative/path", "/home/someone/.local/share")],
)
def test_an_absolute_path_in_the_variable_is_used(monkeypatch: pytest.MonkeyPatch, variable: str, found: str) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_DATA_HOME", variable)
    assert users_folder("XDG_DATA_HOME", ".local", "share") == found


def test_a_user_without_a_home_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert users_folder("XDG_CACHE_HOME", ".cache") is None
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert users_folder("XDG_CACHE_HOME", ".cache") == "/caches"
