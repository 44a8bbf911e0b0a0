"""The spec inside a model file: read from sound files, never invented from damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.embedded import KEY, read_embedded
from edge_runtime.bundle.manifest import Format
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import ManifestError
from edge_runtime.serialisation.records import canonical_json

MODELS = [f"model.{precision}.{form.value}" for form in Format for precision in ("int8", "float32")]


def form_of(name: str) -> Format:
    return Format(name.rsplit(".", 1)[1])


def read_or_refuse(model: bytes, form: Format) -> ModelSpec | None:
    """Return the spec, None if the file is refused; any other exception is a fault of the reader."""
    try:
        return read_embedded(model, form, "model")
    except ManifestError as error:
        assert error.message.startswith("model")
        return None


@pytest.fixture
def spec(phantom_bundle: Path) -> ModelSpec:
    return find(phantom_bundle).manifest.spec


@pytest.mark.parametrize("name", MODELS)
def test_each_model_file_carries_the_bundles_spec(name: str, phantom_bundle: Path, spec: ModelSpec) -> None:
    assert read_embedded((phantom_bundle / name).read_bytes(), form_of(name), name) == spec


@pytest.mark.parametrize("name", MODELS)
def test_a_file_cut_anywhere_is_refused(name: str, phantom_bundle: Path, spec: ModelSpec) -> None:
    """ONNX may end behind its metadata, TFLite in its padding: what is read then is the whole spec."""
    model = (phantom_bundle / name).read_bytes()
    for size in (*range(64), *range(64, len(model), 97), len(model) - 1):
        assert read_or_refuse(model[:size], form_of(name)) in (None, spec), f"cut at {size} of {len(model)}"


@pytest.mark.parametrize("name", MODELS)
def test_a_file_damaged_anywhere_but_in_the_text_is_refused_or_read_whole(
    name: str, phantom_bundle: Path, spec: ModelSpec
) -> None:
    model = bytearray((phantom_bundle / name).read_bytes())
    start = model.index(canonical_json(spec).encode())
    text = range(start, start + len(canonical_json(spec)))
    for place in (*range(64), *range(64, len(model), 97), *range(start - 16, start)):
        if place in text:
            continue
        for damage in (0x01, 0x80, 0xFF):
            model[place] ^= damage
            found = read_or_refuse(bytes(model), form_of(name))
            model[place] ^= damage
            assert found in (None, spec), f"byte {place} ^ {damage:#x} gave another spec"


@pytest.mark.parametrize("name", MODELS)
def test_damage_in_the_text_never_escapes_as_another_error(name: str, phantom_bundle: Path, spec: ModelSpec) -> None:
    model = bytearray((phantom_bundle / name).read_bytes())
    start, size = model.index(canonical_json(spec).encode()), len(canonical_json(spec))
    for place in range(start, start + size):
        for damage in (0x01, 0x10, 0x80):
            model[place] ^= damage
            read_or_refuse(bytes(model), form_of(name))
            model[place] ^= damage


@pytest.mark.parametrize("form", Format)
def test_random_bytes_are_refused(form: Format) -> None:
    rng = np.random.default_rng(71)
    head = b"\x08\0\0\0TFL3" if form is Format.TFLITE else b"\x08\x08"
    for size in (*range(40), *rng.integers(40, 4000, 500)):
        noise = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
        for model in (noise, head + noise, bytes(size), head + bytes(size), b"\xff" * int(size)):
            assert read_or_refuse(model, form) is None


@pytest.mark.parametrize("form", Format)
def test_the_other_format_is_refused(form: Format, phantom_bundle: Path) -> None:
    other = Format.ONNX if form is Format.TFLITE else Format.TFLITE
    assert read_or_refuse((phantom_bundle / f"model.int8.{form.value}").read_bytes(), other) is None


@pytest.mark.parametrize("name", MODELS)
def test_a_file_without_our_entry_says_what_to_do(name: str, phantom_bundle: Path) -> None:
    model = (phantom_bundle / name).read_bytes()
    foreign = model.replace(KEY.encode(), b"x" * len(KEY))
    assert foreign != model
    with pytest.raises(ManifestError, match=r"found no embedded spec .*export the model with python -m export"):
        read_embedded(foreign, form_of(name), name)


def test_a_file_without_any_metadata_says_what_to_do() -> None:
    onnx = b"\x08\x08\x12\x07pytorch"  # ir_version 8, producer_name
    with pytest.raises(ManifestError, match="found no embedded spec"):
        read_embedded(onnx, Format.ONNX, "model.onnx")
    # a root table whose vtable has no fields
    tflite = b"\x0c\0\0\0TFL3" + b"\x04\0\x04\0" + b"\x04\0\0\0"
    with pytest.raises(ManifestError, match="found no embedded spec"):
        read_embedded(tflite, Format.TFLITE, "model.tflite")
