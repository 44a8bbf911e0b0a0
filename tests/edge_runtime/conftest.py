"""A bundle with golden vectors, and what it takes to alter one without its manifest noticing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.bundle import describe_files, find, write_manifest
from edge_runtime.bundle.manifest import Format, Precision, Role
from edge_runtime.golden.vectors import GOLDEN, Golden, from_npz, to_npz

Reseal = Callable[[Path], None]
Rewrite = Callable[[Path, Callable[[Golden], Golden]], None]


@pytest.fixture(scope="session")
def golden_source(phantom_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom bundle with golden vectors; the float32 file stands for the Keras model if export wrote none."""
    from export.validation.golden import golden_tensors, write_golden
    from export.validation.parity import answer

    folder = shutil.copytree(phantom_bundle, tmp_path_factory.mktemp("golden") / phantom_bundle.name)
    bundle = find(folder)
    if not any(entry.role is Role.GOLDEN for entry in bundle.manifest.files):
        exact = bundle.model(Format.TFLITE, Precision.FLOAT32)
        assert exact is not None
        reference = answer(folder, exact, golden_tensors(bundle.manifest.spec)).logits
        entry = write_golden(folder, bundle.manifest, reference)
        write_manifest(folder, replace(bundle.manifest, files=(*bundle.manifest.files, entry)))
    return folder


@pytest.fixture
def golden_bundle(golden_source: Path, tmp_path: Path) -> Path:
    """A copy that a test may alter."""
    return shutil.copytree(golden_source, tmp_path / "golden" / golden_source.name)


@pytest.fixture
def reseal() -> Reseal:
    """Write the SHA-256 of every file as it is now into ``bundle.json``, as a careful forger would."""

    def hash_again(folder: Path) -> None:
        manifest = find(folder).manifest
        rows = [(e.name, e.role, e.format, e.precision) for e in manifest.files]
        write_manifest(folder, replace(manifest, files=describe_files(folder, rows)))

    return hash_again


@pytest.fixture
def rewrite(reseal: Reseal) -> Rewrite:
    """Change the golden vectors of a bundle and reseal it."""

    def change(folder: Path, alter: Callable[[Golden], Golden]) -> None:
        path = folder / GOLDEN
        path.write_bytes(to_npz(alter(from_npz(path.read_bytes(), "golden"))))
        reseal(folder)

    return change


class _Refusing:
    """An entry of a folder that can be listed and not entered."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self.name, self.is_dir, self.is_symlink = entry.name, entry.is_dir, entry.is_symlink

    def stat(self) -> os.stat_result:
        raise PermissionError(13, "Permission denied", self.name)


@pytest.fixture
def refusing_status(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that takes the right to enter a folder, also from root."""

    def refuse(folder: Path) -> None:
        listed = os.scandir

        @contextmanager
        def scandir(path: Any) -> Iterator[Any]:
            with listed(path) as entries:
                yield map(_Refusing, entries) if Path(path) == folder else entries

        monkeypatch.setattr(os, "scandir", scandir)

    return refuse
