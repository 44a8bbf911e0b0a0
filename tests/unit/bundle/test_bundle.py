"""A bundle is used whole, unaltered and understood, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import bundle, containers
from edge_runtime.bundle.bundle import MANIFEST, find
from edge_runtime.bundle.manifest import Format, Precision
from edge_runtime.errors import BundleError, BundleNotFoundError, IntegrityError, ManifestError
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import zipped

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]

FILES = 8  # five models, the golden vectors, what heatmaps need, and the card


def test_a_sound_bundle_verifies(phantom_bundle: Path) -> None:
    assert find(phantom_bundle).verify() == find(str(phantom_bundle)).verify() == FILES


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_same_folder_zipped_is_the_same_bundle(compression: int, bundle_copy: Path) -> None:
    packed = find(zipped(bundle_copy, compression))
    assert packed.manifest == find(bundle_copy).manifest
    assert packed.verify() == FILES
    for entry in packed.manifest.files:
        assert packed.content(entry) == (bundle_copy / entry.name).read_bytes()


@pytest.mark.parametrize(
    "form, precision",
    [
        *((form, precision) for form in Format for precision in (Precision.INT8, Precision.FLOAT32)),
        (Format.TFLITE, Precision.FLOAT16),
    ],
)
def test_a_single_model_file_is_a_bundle_of_its_own(form: Format, precision: Precision, phantom_bundle: Path) -> None:
    path = phantom_bundle / f"model.{precision.value}.{form.value}"
    single = find(path)
    assert single.manifest.spec == find(phantom_bundle).manifest.spec
    assert single.formats() == {form}
    entry = single.model(form, precision)
    assert entry is not None
    assert single.content(entry) == path.read_bytes()
    assert single.verify() == 1


def test_one_flipped_bit_in_any_file_is_found(bundle_copy: Path) -> None:
    for entry in find(bundle_copy).manifest.files:
        path = bundle_copy / entry.name
        sound = path.read_bytes()
        for place in (0, 4, len(sound) // 3, len(sound) // 2, len(sound) - 1):
            for bit in (0x01, 0x80):
                damaged = bytearray(sound)
                damaged[place] ^= bit
                path.write_bytes(damaged)
                with pytest.raises(IntegrityError, match=f"{entry.name} has SHA-256 .* altered or damaged"):
                    find(bundle_copy).verify()
        path.write_bytes(sound)
    assert find(bundle_copy).verify() == FILES


def test_a_longer_or_shorter_file_is_found(bundle_copy: Path) -> None:
    path = bundle_copy / "model.int8.onnx"
    sound = path.read_bytes()
    for other in (sound + b"\0", sound[:-1], b""):
        path.write_bytes(other)
        with pytest.raises(IntegrityError, match=rf"model\.int8\.onnx has {len(other)} bytes, .* names {len(sound)}"):
            find(bundle_copy).verify()


def test_a_missing_file_is_named(bundle_copy: Path) -> None:
    (bundle_copy / "model.float32.onnx").unlink()
    with pytest.raises(IntegrityError, match=r"model\.float32\.onnx cannot be read .* Install the bundle again"):
        find(bundle_copy).verify()


@pytest.mark.parametrize("name", ["notes.txt", "sub/notes.txt", ".hidden"])
def test_an_extra_file_is_named(name: str, bundle_copy: Path) -> None:
    (bundle_copy / name).parent.mkdir(exist_ok=True)
    (bundle_copy / name).write_text("x")
    for path in (bundle_copy, zipped(bundle_copy) if "/" not in name else bundle_copy):
        with pytest.raises(IntegrityError, match=f"found {name}, which bundle.json does not name"):
            find(path).verify()


def test_a_model_file_with_another_spec_is_found(edited_bundle: Edit) -> None:
    folder = edited_bundle(lambda m: m["spec"]["policy"].update(cutoff=0.25))
    with pytest.raises(ManifestError, match=r"found another spec in model\.\w+\.\w+ than in bundle\.json"):
        find(folder).verify()


def test_a_folder_of_very_many_files_is_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    monkeypatch.setattr(containers, "MOST_NAMES", 5)
    assert find(folder).verify() == small_bundle.FILES
    for number in range(3):
        (folder / f"more-{number}").touch()
    with pytest.raises(ManifestError, match="found more than 5 files, expected a bundle"):
        find(folder)


def test_a_folder_that_cannot_be_listed_is_named_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in it cannot be told, so it stands for it; under a key that is a refusal."""
    folder, honest = small_bundle.make(tmp_path / "bundle"), os.scandir
    (folder / "locked").mkdir()

    def scandir(path: str) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied")
        return honest(path)

    monkeypatch.setattr(containers.os, "scandir", scandir)
    with pytest.raises(IntegrityError, match=r"found locked, which bundle\.json does not name"):
        find(folder).verify()


def test_a_zip_that_holds_a_name_twice_or_a_path_is_refused(tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    for name, words in ((MANIFEST, "found 'bundle.json' twice"), ("../outside", "found '../outside', a path outside")):
        path = zipped(folder)
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile warns of what is made here on purpose
            archive.writestr(name, "{}")
        with pytest.raises(BundleError, match=words):
            find(path).verify()


def test_an_unknown_name_lists_the_models_that_ship(
    phantom_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("second-model", "first-model"):
        shutil.copytree(phantom_bundle, tmp_path / "bundles" / name)
    monkeypatch.setattr(bundle, "SHIPPED", tmp_path / "bundles")
    monkeypatch.chdir(tmp_path)
    assert bundle.shipped() == ("first-model", "second-model")
    assert find("first-model").verify() == FILES
    with pytest.raises(BundleNotFoundError, match=r"no model 'third'.*ship are first-model, second-model.*edge-bundle"):
        find("third")


@pytest.mark.parametrize("name", ["nothing", "no/such/folder", "x" * 300, "x/" * 3000, "a\0b"])
def test_a_path_to_nothing_is_not_found(name: str) -> None:
    with pytest.raises(BundleNotFoundError, match="no such path"):
        find(name)


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(b"x")
    with pytest.raises(BundleNotFoundError, match=r"expected a bundle folder, a bundle \.zip, a \.tflite or an \.onnx"):
        find(tmp_path / "model.h5")
    with pytest.raises(BundleNotFoundError, match=r"found no bundle\.json"):
        find(tmp_path)
    for data in (b"", b"x" * 99, b"PK\x05\x06" + bytes(18)):
        (tmp_path / "model.zip").write_bytes(data)
        with pytest.raises(ManifestError, match=r"found no bundle\.json in (a sound|this) zip"):
            find(tmp_path / "model.zip")
