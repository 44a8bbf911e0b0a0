"""A manifest is rejected if it has unknown keys, values outside their range, or unsafe file names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle import bundle, limits, runtime_manifest
from edge_runtime.bundle.bundle import MANIFEST, SIGNATURE, find
from edge_runtime.bundle.manifest import SCHEMA, Role
from edge_runtime.errors import ManifestError
from tests.unit.bundle import small_bundle
from tests.unit.bundle.small_bundle import CARD

Edit = Callable[[Callable[[dict[str, Any]], object]], Path]


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


@pytest.mark.parametrize("second", [CARD, CARD.lower()])
def test_a_name_that_stands_for_two_files_is_refused(second: str, tmp_path: Path) -> None:
    folder = small_bundle.make(tmp_path / "bundle")
    value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    value["files"].append({**value["files"][1], "name": second})
    (folder / MANIFEST).write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(ManifestError, match="found a file twice"):
        find(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "[" * 100_000, "\xff"])
def test_a_manifest_that_is_no_object_is_refused(text: str, bundle_copy: Path) -> None:
    (bundle_copy / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(ManifestError, match=r"bundle\.json: "):
        find(bundle_copy)


def test_what_is_written_reads_back_equal(bundle_copy: Path) -> None:
    manifest = find(bundle_copy).manifest
    bundle.write_manifest(bundle_copy, manifest)
    assert find(bundle_copy).manifest == manifest
    entries = [(entry.name, entry.role, entry.format, entry.precision) for entry in manifest.files]
    assert bundle.describe_files(bundle_copy, entries) == manifest.files
    assert manifest.files[-1].role is Role.CARD
    assert json.loads((bundle_copy / MANIFEST).read_text(encoding="utf-8"))["schema"] == SCHEMA
