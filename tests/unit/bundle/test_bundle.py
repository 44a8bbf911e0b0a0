"""A bundle is used whole, unaltered and understood, or not at all."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import socket
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import bundle, containers, limits, runtime_manifest
from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE, find
from edge_runtime.bundle.manifest import SCHEMA, Format, Precision, Role
from edge_runtime.errors import BundleError, BundleNotFoundError, IntegrityError, ManifestError
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import CARD, MODEL, zipped

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


# What is changed in bundle.json, and what the message must say.
ALTERED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer schema": (lambda m: m.update(schema=SCHEMA + 1), r"found schema 2, .* up to 1\. Update edge-predict: pip"),
    "newer schema with new keys": (lambda m: m.update(schema=9, tiles={}), r"found schema 9"),
    "schema as text": (lambda m: m.update(schema="1"), r"\.schema: found '1', expected a whole number"),
    "unknown key": (lambda m: m.update(tiles={}), r"unknown key 'tiles'"),
    "unknown key of a step": (lambda m: m["spec"]["steps"][0].update(x=1), r"spec\.steps\[0\]: found unknown key 'x'"),
    "unknown step": (lambda m: m["spec"]["steps"][0].update(kind="blur"), r"spec\.steps\[0\]: found kind 'blur'"),
    "no key": (lambda m: m.pop("guard_band"), r"key 'guard_band' is missing"),
    "other steps": (lambda m: m["spec"]["steps"].pop(2), r"contract f1b1.* is not the SHA-256 of the spec's steps"),
    "other contract": (lambda m: m.update(contract="0" * 64), r"contract 0000.* is not the SHA-256"),
    "no model": (lambda m: m.update(files=m["files"][-1:]), r"found no model file"),
    "no file": (lambda m: m.update(files=[]), r"found no model file"),
    "model without precision": (lambda m: m["files"][0].update(precision=None), r"without format or precision"),
}


@pytest.mark.parametrize("case", ALTERED)
def test_a_manifest_that_is_not_understood_is_refused(case: str, edited_bundle: Edit) -> None:
    change, words = ALTERED[case]
    with pytest.raises(ManifestError, match=words) as caught:
        find(edited_bundle(change))
    assert MANIFEST in caught.value.message
    with pytest.raises(ManifestError, match=words):
        bundle.find_files(edited_bundle(lambda _: None))  # as a prediction opens it


MEASURED: dict[str, Callable[[dict[str, Any]], object]] = {
    "a figure that is no number": lambda m: m["evaluations"][0]["figures"][0].update(value="high"),
    "an unknown key of the training": lambda m: m["training"].update(x=1),
    "no toolchain": lambda m: m.pop("toolchain"),
}


@pytest.mark.parametrize("case", MEASURED)
def test_a_fault_in_what_was_measured_is_told_by_whoever_reads_it(case: str, edited_bundle: Edit) -> None:
    """An answer needs none of it."""
    folder = edited_bundle(MEASURED[case])
    with pytest.raises(ManifestError, match=r"bundle\.json"):
        find(folder)
    opened = bundle.find_files(folder)
    assert [opened.content(entry) for entry in opened.manifest.files]


def test_what_an_answer_needs_and_what_was_measured_are_the_whole_manifest(phantom_bundle: Path) -> None:
    whole, needed = find(phantom_bundle).manifest, bundle.find_files(phantom_bundle).manifest
    names = {field.name for field in dataclasses.fields(needed)}
    assert {field.name for field in dataclasses.fields(whole)} == names | runtime_manifest.MEASURED
    assert not names & runtime_manifest.MEASURED
    assert all(getattr(needed, name) == getattr(whole, name) for name in names)


ESCAPES = ["../x", "/etc/hostname", "a/b", "a\\b", "..\\x", "C:\\x", "..", ".", "", MANIFEST, "a\0b", "a/"]
ESCAPES += [
    SIGNATURE,
    ".hidden",
    "model.",
    " a",
    "a ",
    "a\nb",
    "a\x1b[2J",
    "~",
    "-rf",
    "modèle.onnx",
    "\u202egpj.exe",
    "a" * 101,
]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_file_name_cannot_leave_the_bundle(name: str, edited_bundle: Edit) -> None:
    folder = edited_bundle(lambda m: m["files"][0].update(name=name))
    with pytest.raises(ManifestError, match="expected a plain name") as caught:
        find(folder)
    assert repr(name) in caught.value.message


def link_out(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")


def link_up(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(f"../../{folder.name}/{name}")


def pipe(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def link_round(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(name)


def link_to_pipe(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / "pipe")
    (folder / name).symlink_to("pipe")


def socket_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(folder, os.O_RDONLY)  # an address holds 107 letters, and temporary folders have long names
        listener.bind(f"/proc/self/fd/{here}/{name}")
        os.close(here)


def directory(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()


# What stands in a file's place, and what the message must say; a pipe that were read would wait for ever.
NO_PLAIN_FILES: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "a link to a file outside, whose bytes are right": (link_out, "a link to .*elsewhere.*, outside the bundle"),
    "a link to nothing": (link_up, "outside the bundle|No such file"),
    "a link to itself": (link_round, "Too many levels of symbolic links"),
    "a pipe": (pipe, "found a pipe, expected a regular file"),
    "a socket": (socket_file, "found a socket, expected a regular file"),
    "a link to a pipe": (link_to_pipe, "found a pipe, expected a regular file"),
    "a folder": (directory, "found a folder, expected a regular file"),
}


@pytest.mark.parametrize("case", NO_PLAIN_FILES)
def test_what_is_no_file_of_the_bundle_is_not_read(case: str, tmp_path: Path) -> None:
    change, words = NO_PLAIN_FILES[case]
    folder = small_bundle.make(tmp_path / "bundle")
    change(folder, MODEL)
    opened = find(folder)
    with pytest.raises(IntegrityError, match=rf"{MODEL} cannot be read \(.*({words})"):
        opened.content(opened.manifest.files[0])
    with pytest.raises(IntegrityError):
        opened.verify()


@pytest.mark.parametrize("case", NO_PLAIN_FILES)
def test_what_stands_for_the_manifest_and_is_no_file_of_the_bundle_is_not_read(case: str, tmp_path: Path) -> None:
    change, words = NO_PLAIN_FILES[case]
    folder = small_bundle.make(tmp_path / "bundle")
    change(folder, MANIFEST)
    with pytest.raises(BundleError, match=rf"found no bundle\.json|{MANIFEST}: cannot be read \(.*({words})"):
        find(folder)


@pytest.mark.parametrize("suffix", ["", ".zip", ".tflite", ".onnx", ".json"])
@pytest.mark.parametrize("case", [case for case in NO_PLAIN_FILES if "outside" not in case and case != "a folder"])
def test_what_is_named_and_is_no_file_is_not_read(case: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.touch()
    NO_PLAIN_FILES[case][0](tmp_path, path.name)
    with pytest.raises(BundleNotFoundError, match=r"found a (pipe|socket)|cannot be opened|no such path") as caught:
        find(path)
    assert path.name in caught.value.message


def test_a_file_larger_than_named_is_not_read(tmp_path: Path) -> None:
    """A sparse file of 1 TB takes no room on the disk, and all of the memory of whoever reads it."""
    folder = small_bundle.make(tmp_path / "bundle")
    os.truncate(folder / MODEL, 1 << 40)
    with pytest.raises(IntegrityError, match=rf"{MODEL} has {1 << 40} bytes, bundle\.json names \d+\."):
        find(folder).verify()
    for name in (MANIFEST, SIGNATURE):
        (folder / name).touch()
        os.truncate(folder / name, 1 << 40)
    with pytest.raises(ManifestError, match=rf"it has {1 << 40} bytes, expected at most {limits.LARGEST_RECORD}"):
        find(folder)
    os.truncate(folder / MODEL, 1 << 40)
    with pytest.raises(BundleNotFoundError, match=rf"it has {1 << 40} bytes, expected at most {limits.LARGEST_FILE}"):
        find(folder / MODEL)


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = folder / MANIFEST
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    return folder


# What is changed in bundle.json, and what the message must say.
OUT_OF_RANGE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "guard band below 0": (lambda m: m.update(guard_band=-1e-9), r"guard_band -1e-09, expected 0\.\.1"),
    "guard band above 1": (lambda m: m.update(guard_band=1.0000001), "guard_band"),
    "guard band of no number": (lambda m: m.update(guard_band=float("nan")), "NaN is not a JSON number"),
    "guard band without end": (lambda m: m.update(guard_band=float("inf")), "Infinity is not a JSON number"),
    "cut-off": (lambda m: m["spec"]["policy"].update(cutoff=1.5), "cutoff"),
    "floor": (lambda m: m["spec"]["policy"].update(confidence_floor=-0.5), "confidence_floor"),
    "temperature": (lambda m: m["spec"]["policy"].update(temperature=0), "temperature"),
    "tolerated flips": (lambda m: m["spec"]["tolerance"].update(int8_flips_per_1000=-1), "int8_flips_per_1000 -1"),
    "tolerated score": (lambda m: m["spec"]["tolerance"].update(int8_score_mean=2), "int8_score_mean 2"),
    "tolerated logit": (lambda m: m["spec"]["tolerance"].update(float32_logit_max=1e9), "float32_logit_max 1000000000"),
    "shortest side": (lambda m: m["spec"].update(min_side_px=-8), "min_side_px: found -8"),
    "divisor": (
        lambda m: m["spec"]["steps"].append({"kind": "scale", "divisor": 1e-300, "offset": 0}),
        "found divisor 1e-300",
    ),
    "size below 0": (lambda m: m["files"][0].update(size_bytes=-1), "has size -1"),
    "size of a disk": (lambda m: m["files"][0].update(size_bytes=10**12), "has size 1000000000000"),
    "size of many digits": (lambda m: m["files"][0].update(size_bytes=10**4000), "has size 10000"),
    "sum of sizes": (
        lambda m: m.update(
            files=[m["files"][0] | {"name": f"f{i}", "size_bytes": limits.LARGEST_FILE} for i in range(3)]
        ),
        "bytes in all, expected at most",
    ),
    "number of files": (
        lambda m: m.update(files=[m["files"][0] | {"name": f"f{i}"} for i in range(limits.MOST_FILES + 1)]),
        "found 257 files, expected at most 256",
    ),
    "hash": (lambda m: m["files"][0].update(sha256="0" * 63), "64 hexadecimal digits"),
    "version with a leading zero": (lambda m: m["spec"].update(version="1.02.0"), "without leading zeros"),
    "version in other digits": (lambda m: m["spec"].update(version="\u0661.0.0"), r"MAJOR\.MINOR\.PATCH"),
}


@pytest.mark.parametrize("case", OUT_OF_RANGE)
def test_a_number_that_decides_is_in_its_range(case: str, tmp_path: Path) -> None:
    change, words = OUT_OF_RANGE[case]
    folder = edited(small_bundle.make(tmp_path / "bundle"), change)
    for opened in (find, bundle.find_files):  # as a prediction opens it, too
        with pytest.raises(ManifestError, match=words) as caught:
            opened(folder)
        assert str(folder / MANIFEST) in caught.value.message
        assert len(caught.value.message) < 600


@pytest.mark.parametrize("band", [0, 0.0, 1, 1.0, 0.5])
def test_both_ends_of_the_guard_bands_range_are_in_it(band: float, tmp_path: Path) -> None:
    assert (
        find(edited(small_bundle.make(tmp_path / "b"), lambda m: m.update(guard_band=band))).manifest.guard_band == band
    )


@pytest.mark.parametrize("place", ["the top", "the spec", "what was measured"])
def test_a_key_that_stands_twice_is_refused(place: str, tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    old, new = {
        "the top": ('"guard_band":', '"guard_band": 0.0, "guard_band":'),
        "the spec": ('"cutoff":', '"cutoff": 0.9, "cutoff":'),
        "what was measured": ('"toolchain": {', '"toolchain": {"a": "1", "a": "1", '),
    }[place]
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    assert old in text
    (folder / MANIFEST).write_text(text.replace(old, new, 1), encoding="utf-8")
    for opened in (find, bundle.find_files):
        with pytest.raises(ManifestError, match=r"bundle\.json: .*the key '\w+' occurs twice in one object"):
            opened(folder)


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

    def scandir(path: Path) -> Any:
        if path.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied")
        return honest(path)

    monkeypatch.setattr(containers.os, "scandir", scandir)
    with pytest.raises(IntegrityError, match=r"found locked, which bundle\.json does not name"):
        find(folder).verify()


def test_a_link_inside_the_bundle_is_a_file_of_it(tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    (folder / CARD).rename(folder / "card")
    (folder / CARD).symlink_to("card")
    found = find(folder)
    assert found.content(found.manifest.files[1]) == (folder / "card").read_bytes()
    with pytest.raises(IntegrityError, match="found card, which"):
        found.verify()


def test_a_manifest_that_lies_outside_is_refused(tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    link_out(folder, MANIFEST)
    with pytest.raises(ManifestError, match=r"bundle\.json: cannot be read \(a link to .*outside the bundle"):
        find(folder)


@pytest.mark.parametrize("name", ["broken link", "pipe", "link to a folder"])
def test_what_hides_in_a_bundle_is_named(name: str, tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    if name == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(tmp_path if "folder" in name else "nowhere")
    with pytest.raises(IntegrityError, match=f"found {name}, which bundle.json does not name"):
        find(folder).verify()


@pytest.mark.parametrize("second", [CARD, CARD.lower()])
def test_a_name_that_stands_for_two_files_is_refused(second: str, tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    value["files"].append({**value["files"][1], "name": second})
    (folder / MANIFEST).write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(ManifestError, match="found a file twice"):
        find(folder)


def test_a_zip_that_holds_a_name_twice_or_a_path_is_refused(tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    for name, words in ((MANIFEST, "found 'bundle.json' twice"), ("../outside", "found '../outside', a path outside")):
        path = zipped(folder)
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile warns of what is made here on purpose
            archive.writestr(name, "{}")
        with pytest.raises(BundleError, match=words):
            find(path).verify()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "[" * 100_000, "\xff"])
def test_a_manifest_that_is_no_object_is_refused(text: str, bundle_copy: Path) -> None:
    (bundle_copy / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(ManifestError, match=r"bundle\.json: "):
        find(bundle_copy)


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


def test_what_is_written_reads_back_equal(bundle_copy: Path) -> None:
    manifest = find(bundle_copy).manifest
    bundle.write_manifest(bundle_copy, manifest)
    assert find(bundle_copy).manifest == manifest
    entries = [(entry.name, entry.role, entry.format, entry.precision) for entry in manifest.files]
    assert bundle.describe_files(bundle_copy, entries) == manifest.files
    assert manifest.files[-1].role is Role.CARD
    assert json.loads((bundle_copy / MANIFEST).read_text(encoding="utf-8"))["schema"] == SCHEMA
