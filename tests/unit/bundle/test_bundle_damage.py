"""Damage anywhere in a bundle: one flipped bit, a zip that was cut or altered."""

from __future__ import annotations

import random
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.bundle.bundle import MANIFEST, SHIPPED, describe_files, find, write_manifest
from edge_runtime.bundle.manifest import Format, Precision, Role
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
from edge_runtime.errors import BundleError, IntegrityError
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import zipped

FLIPS = 60
"""Bits that are flipped in each file, at places drawn with a fixed seed."""


def flips(data: bytes, seed: int) -> list[bytes]:
    """Return copies of ``data``, each with one other bit flipped."""
    copies = []
    for bit in random.Random(seed).sample(range(len(data) * 8), FLIPS):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        copies.append(bytes(damaged))
    return copies


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model's int8 TFLite file, card and golden vectors, in a bundle of their own."""
    source, folder = find(Path(SHIPPED, DEFAULT_MODEL)), tmp_path_factory.mktemp("flips") / DEFAULT_MODEL
    folder.mkdir()
    taken = [
        e for e in source.manifest.files if (e.format, e.precision) in ((Format.TFLITE, Precision.INT8), (None, None))
    ]
    for entry in taken:
        (folder / entry.name).write_bytes(source.content(entry))
    rows = [(entry.name, entry.role, entry.format, entry.precision) for entry in taken]
    write_manifest(folder, replace(source.manifest, files=describe_files(folder, rows)))
    return folder


def test_one_bit_flipped_anywhere_in_a_shipped_file_is_refused_by_the_files_name(part: Path) -> None:
    bundle = find(part)
    assert {entry.role for entry in bundle.manifest.files} == set(Role)
    for seed, entry in enumerate(bundle.manifest.files):
        for damaged in flips(bundle.read_file(entry.name), seed):
            altered = replace(bundle, read_file=lambda name, size=None, data=damaged: data)
            with pytest.raises(IntegrityError, match=f"{entry.name} has SHA-256"):
                altered.content(entry)


def test_one_bit_flipped_in_an_unsigned_manifest_never_changes_spec_or_files(tmp_path: Path) -> None:
    """What no check can see without a signature are measured figures and text: docs/reference/bundle.md says so."""
    folder = small_bundle.make(tmp_path / "bundle")
    sound, text = find(folder).manifest, (folder / MANIFEST).read_bytes()
    unseen = 0
    for damaged in flips(text, 9) + flips(text, 10):
        (folder / MANIFEST).write_bytes(damaged)
        try:
            find(folder).verify()
        except BundleError as error:
            assert error.message.startswith(str(folder))
            continue
        unseen += 1
        assert (find(folder).manifest.spec, find(folder).manifest.files) == (sound.spec, sound.files)
    assert 0 < unseen < 2 * FLIPS, unseen


def everything_read(path: Path) -> None:
    """Open and verify; BundleErrors pass, any other exception is a fault of the reader."""
    try:
        find(path).verify()
    except BundleError as error:
        assert error.exit_code == 3
        assert error.message.startswith(str(path))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_damaged_anywhere_is_never_another_error(compression: int, tmp_path: Path) -> None:
    path = zipped(small_bundle.make(tmp_path / "bundle"), compression)
    sound = path.read_bytes()
    central = sound.index(b"PK\x01\x02")
    for place in (*range(0, central, central // 100), *range(40), *range(central, len(sound), 7)):
        damaged = bytearray(sound)
        damaged[place] ^= 0x01 if place % 2 else 0x80
        path.write_bytes(damaged)
        everything_read(path)
    for size in range(0, len(sound), len(sound) // 50):
        path.write_bytes(sound[:size])
        everything_read(path)
