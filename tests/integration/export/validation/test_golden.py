"""Golden vectors are drawn, small, the same every time, and what the bundle gives on this machine."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edge_runtime import Precision, Predictor, Runtime
from edge_runtime.bundle.bundle import find, write_manifest
from edge_runtime.bundle.manifest import Format, Manifest, Role
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.verdict import Decision
from edge_runtime.golden.vectors import GOLDEN, Golden, digest, from_npz, sample, to_npz
from edge_runtime.images.reader import read
from edge_runtime.preprocessing.steps import Window
from edge_runtime.selftest.replay import selftest
from export.errors import ExportError
from export.source.keras_model import load_to_logits
from export.validation import golden
from export.validation.golden import golden_images, golden_tensors, write_golden
from export.validation.parity import answer
from training.recipes import RECIPES

SPECS = {name: recipe.spec for name, recipe in RECIPES.items()}


@pytest.fixture(params=sorted(SPECS))
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    return SPECS[request.param]


@pytest.fixture(scope="module")
def keras(phantom_artifact: Path, phantom_bundle: Path) -> npt.NDArray[np.float32]:
    """The Keras model's own logits for the golden images."""
    tensors = golden_tensors(find(phantom_bundle).manifest.spec)
    logits = load_to_logits(str(phantom_artifact / "model.keras")).predict(tensors, verbose=0)
    return np.asarray(logits, dtype=np.float32)


@pytest.fixture
def bare(phantom_bundle: Path, tmp_path: Path) -> tuple[Path, Manifest]:
    """A copy of the bundle, and its manifest as it stands before golden vectors are written."""
    folder = shutil.copytree(phantom_bundle, tmp_path / "bundle")
    (folder / GOLDEN).unlink(missing_ok=True)
    manifest = find(folder).manifest
    return folder, replace(manifest, files=tuple(e for e in manifest.files if e.role is not Role.GOLDEN))


def test_images_are_what_every_model_takes_and_another_decoder_sees_the_same_pixels(spec: ModelSpec) -> None:
    images = golden_images(spec)
    assert 8 <= len(images) <= 16
    assert len({p.name for p in images}) == len({p.png for p in images}) == len(images)
    sizes = set()
    for image in images:
        ours = read(image.png, min_side_px=spec.min_side_px, name=image.name).pixels
        theirs = Image.open(io.BytesIO(image.png))
        assert theirs.mode in ("L", "RGB"), image.name
        rgb = np.asarray(theirs)
        assert np.array_equal(ours, rgb if rgb.ndim == 2 else rgb[..., ::-1]), image.name
        sizes.add(theirs.size)
    assert spec.size_px in sizes or min(spec.size_px) < spec.min_side_px, "one that is not resized at all"
    assert any(w % 2 and h % 2 for w, h in sizes), "odd sides"
    assert any(w > spec.size_px[0] for w, _ in sizes) and any(w < spec.size_px[0] for w, _ in sizes)


def test_the_same_spec_gives_the_same_bytes_and_finite_tensors(spec: ModelSpec) -> None:
    assert golden_images(spec) == golden_images(spec)
    tensors = golden_tensors(spec)
    (width, height), count = spec.size_px, len(golden_images(spec))
    assert (tensors.shape, tensors.dtype) == ((count, height, width, spec.channels), np.float32)
    assert np.isfinite(tensors).all()
    digests = {hashlib.sha256(tensor.tobytes()).digest() for tensor in tensors}
    assert len(digests) == count, "two images that give one tensor test one thing"


def test_a_model_of_deep_images_gets_such_beyond_both_ends_of_its_window(spec: ModelSpec) -> None:
    deep = replace(spec, steps=(Window(1000, 4000), *spec.steps))
    pixels = [read(p.png, name=p.name).pixels for p in golden_images(deep)]
    assert {array.dtype for array in pixels} == {np.dtype(np.uint16)}
    assert min(array.min() for array in pixels) < 1000
    assert max(array.max() for array in pixels) > 4000
    assert len(golden_tensors(deep)) == len(golden_images(spec))


def test_the_file_holds_what_keras_and_every_file_answer(
    bare: tuple[Path, Manifest], keras: npt.NDArray[np.float32]
) -> None:
    folder, manifest = bare
    entry = write_golden(folder, manifest, keras)
    data = (folder / GOLDEN).read_bytes()
    assert (entry.role, entry.sha256, entry.size_bytes) == (Role.GOLDEN, hashlib.sha256(data).hexdigest(), len(data))
    found, tensors = from_npz(data, GOLDEN), golden_tensors(manifest.spec)
    assert np.array_equal(found.keras, keras)
    for file in (e for e in manifest.files if e.format is not None):
        assert np.array_equal(found.logits[file.name], answer(folder, file, tensors).logits), file.name
        if file.precision is Precision.FLOAT32:
            worst = np.abs(found.logits[file.name] - keras) / np.maximum(1, np.abs(keras))
            assert worst.max() <= manifest.spec.tolerance.float32_logit_max, file.name
    write_manifest(folder, replace(manifest, files=(*manifest.files, entry)))
    with Predictor.load(folder, backend=Runtime.ONNXRUNTIME) as predictor:
        expected = [predictor.predict(p.png).verdict.decision for p in golden_images(manifest.spec)]
    assert list(found.decisions[Format.ONNX]) == expected
    assert set(expected) <= set(Decision)


def test_a_bundle_with_its_golden_vectors_is_whole_and_passes_its_own_test(
    bare: tuple[Path, Manifest], keras: npt.NDArray[np.float32]
) -> None:
    folder, manifest = bare
    entry = write_golden(folder, manifest, keras)
    write_manifest(folder, replace(manifest, files=(*manifest.files, entry)))
    assert find(folder).verify() == len(manifest.files) + 1
    assert selftest(find(folder)).passed


def test_the_file_is_numbers_alone_and_the_same_bytes_every_time(
    bare: tuple[Path, Manifest], keras: npt.NDArray[np.float32]
) -> None:
    folder, manifest = bare
    first, again = write_golden(folder, manifest, keras), write_golden(folder, manifest, keras)
    assert first == again
    with np.load(folder / GOLDEN, allow_pickle=False) as archive:
        assert {archive[key].dtype.kind for key in archive.files} == {"u", "f"}


def test_no_recipe_needs_more_than_the_largest_file(spec: ModelSpec) -> None:
    images, tensors = golden_images(spec), golden_tensors(spec)
    logits = np.random.default_rng(0).random((len(images), spec.outputs)).astype(np.float32)
    vectors = Golden(
        names=tuple(p.name for p in images),
        images=tuple(p.png for p in images),
        digests=np.stack([digest(tensor) for tensor in tensors]),
        samples=np.stack([sample(tensor) for tensor in tensors]),
        keras=logits,
        logits={f"model.{p.value}.{f.value}": logits for p in Precision for f in Format},
        decisions={form: (Decision.REFER,) * len(images) for form in Format},
    )
    assert len(to_npz(vectors)) <= golden.MAX_BYTES


def test_logits_of_other_images_are_refused(bare: tuple[Path, Manifest], keras: npt.NDArray[np.float32]) -> None:
    folder, manifest = bare
    with pytest.raises(ExportError, match=r"found Keras logits of shape \(9, "):
        write_golden(folder, manifest, keras[1:])
    assert not (folder / GOLDEN).exists()


def test_a_file_that_would_be_too_large_is_refused(
    bare: tuple[Path, Manifest], keras: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, manifest = bare
    monkeypatch.setattr(golden, "MAX_BYTES", 10_000)
    with pytest.raises(ExportError, match="expected at most 10000"):
        write_golden(folder, manifest, keras)
    assert not (folder / GOLDEN).exists()
