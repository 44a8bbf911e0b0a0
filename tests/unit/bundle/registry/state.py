"""What a store holds, and what must hold of it whatever happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.registry.pointers import read_pointer
from tests.unit.bundle.small_bundle import FILES

Make = Callable[..., Path]


def versions(place: Path, name: str = "tiny") -> tuple[str, ...]:
    """Return current and previous version."""
    pointer = read_pointer(place, name)
    return () if pointer is None else pointer.versions()


def on_disk(place: Path) -> list[str]:
    """Return the names in the store and in each bundle's folder."""
    return sorted(p.relative_to(place).as_posix() for p in (*place.iterdir(), *place.glob("*/*")) if p.name != ".lock")


def assert_whole(place: Path) -> str:
    """The name means a bundle that verifies, and nothing but whole versions and the pointer lies beside it."""
    opened = find("tiny")
    assert opened.verify() == FILES
    for version in versions(place):
        assert find(place / "tiny" / version).verify() == FILES
    return opened.manifest.spec.version
