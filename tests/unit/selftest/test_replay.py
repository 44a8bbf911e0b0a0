"""A self-test passes where the bundle was made, and names the step, the file and the image that differ elsewhere."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Format, Precision
from edge_runtime.decision.verdict import Decision
from edge_runtime.errors import BundleError, IntegrityError, InterpreterBrokenError, InterpreterMissingError
from edge_runtime.golden import inputs
from edge_runtime.golden.logits import logit_tolerance
from edge_runtime.golden.vectors import GOLDEN, Golden, digest, from_npz, places, sample
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.inference.backends import base, registry
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.backends.registry import open_model
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import Colour, Interpolation, PixelType, Resize, Scale
from edge_runtime.selftest import replay
from edge_runtime.selftest.certificate import Certificate, Step
from edge_runtime.selftest.comparison import compare_logits, compare_tensors
from edge_runtime.selftest.replay import load_golden, replay_file
from edge_runtime.selftest.replay import selftest as run_selftest
from edge_runtime.serialisation.records import from_dict, to_dict
from tests.places import ROOT

SCHEMA = json.loads((ROOT / "docs" / "certificate.schema.json").read_text(encoding="utf-8"))
Rewrite = Callable[[Path, Callable[[Golden], Golden]], None]
Reseal = Callable[[Path], None]


FLOAT32_ROUNDING = 1e-6
"""Largest |Δ logit| of the phantom network between processors, from its layers in float32; 7.2e-07 was seen."""


def failures(certificate: Certificate) -> set[tuple[str, str, str | None]]:
    assert certificate.passed == (not certificate.failed())
    return {(check.step.value, check.subject, check.runtime) for check in certificate.failed()}


def test_every_step_is_the_same_but_for_the_rounding_of_float32(phantom_bundle: Path) -> None:
    source = find(phantom_bundle)
    certificate = run_selftest(source)
    assert certificate.passed
    # Maps are held against TensorFlow's. Processors add float32 products in different orders.
    here = [c for c in certificate.checks if c.step is not Step.MAP and c.differing]
    rounded = [c for c in here if c.step is Step.LOGITS and (c.difference or 0) <= FLOAT32_ROUNDING]
    assert [(c.step.value, c.subject, c.difference, c.picture) for c in here if c not in rounded] == []
    assert {c.runtime for c in certificate.checks if c.step is Step.MAP} == {"litert", "onnxruntime"}
    ran = {(c.step.value, c.subject, c.runtime) for c in certificate.checks}
    files = {(entry.name, entry.format) for entry in source.manifest.files if entry.format is not None}
    on = {Format.TFLITE: "litert", Format.ONNX: "onnxruntime"}
    assert ran >= {("tensor", "pictures", None)} | {("logits", name, on[form]) for name, form in files}
    assert ran >= {("decision", "pictures", runtime) for runtime in on.values()}
    assert certificate.not_run == ()


def test_a_certificate_says_what_was_tested_where_and_when(phantom_bundle: Path) -> None:
    certificate, manifest = run_selftest(find(phantom_bundle)), find(phantom_bundle).manifest
    hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in phantom_bundle.iterdir()}
    assert certificate.files == {name: value for name, value in hashes.items() if name != "bundle.json"}
    assert (certificate.bundle, certificate.version) == (manifest.spec.name, manifest.spec.version)
    assert certificate.contract == manifest.spec.contract
    assert certificate.machine.versions["numpy"] == np.__version__
    age = datetime.now(timezone.utc) - datetime.strptime(certificate.date, "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=timezone.utc
    )
    assert timedelta(seconds=-1) <= age < timedelta(minutes=5)


def test_a_certificate_fits_its_schema_and_reads_back(phantom_bundle: Path) -> None:
    certificate = run_selftest(find(phantom_bundle))
    value = json.loads(json.dumps(to_dict(certificate), allow_nan=False))
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    assert from_dict(Certificate, value) == certificate
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(value | {"host": "ward-3"})


def test_a_machine_that_resizes_otherwise_fails_at_the_tensor(
    phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearest(image: DecodedImage, steps: tuple[Any, ...]) -> npt.NDArray[np.float32]:
        other = [replace(s, interpolation=Interpolation.NEAREST) if isinstance(s, Resize) else s for s in steps]
        return preprocess(image, tuple(other))

    monkeypatch.setattr(inputs, "preprocess", nearest)
    certificate = run_selftest(find(phantom_bundle))
    tensor = certificate.checks[0]
    assert (tensor.step, tensor.passed, tensor.tolerance) == (Step.TENSOR, False, 0.0)
    assert tensor.difference is not None
    assert tensor.difference > 0.01
    assert 0 < tensor.differing < tensor.values, "images of the tensor's own size are not resized"
    assert ("logits", "model.float32.tflite", "litert") in failures(certificate)


def test_a_tensor_that_differs_outside_the_sample_alone_fails_too(bundle_copy: Path, rewrite: Rewrite) -> None:
    def altered(golden: Golden) -> Golden:
        digests = golden.digests.copy()
        digests[2, 0] ^= 1
        return replace(golden, digests=digests)

    rewrite(bundle_copy, altered)
    certificate = run_selftest(find(bundle_copy))
    assert failures(certificate) == {("tensor", "pictures", None)}
    tensor = certificate.checks[0]
    assert (tensor.differing, tensor.difference) == (1, 0.0)
    assert tensor.picture == load_golden(find(bundle_copy)).names[2]


@pytest.mark.parametrize("shift, passes", [(5e-7, True), (2e-6, False)])
def test_float_steps_may_differ_by_a_millionth(phantom_bundle: Path, shift: float, passes: bool) -> None:
    spec = find(phantom_bundle).manifest.spec
    steps = (Colour(ColourOrder.RGB), Resize(20, 30, Interpolation.LINEAR, PixelType.FLOAT32), Scale(255.0, 0.0))
    tensors = np.random.default_rng(1).random((3, 30, 20, 3)).astype(np.float32)
    golden = replace(
        load_golden(find(phantom_bundle)),
        names=("a", "b", "c"),
        digests=np.stack([digest(tensor) for tensor in tensors]),
        samples=np.stack([sample(tensor) for tensor in tensors]),
    )
    moved = tensors.copy()
    moved[1] += np.float32(shift)
    check = compare_tensors(golden, moved, replace(spec, steps=steps))
    assert (check.passed, check.differing, check.picture, check.tolerance) == (passes, 1, "b", 1e-6)
    assert check.difference == pytest.approx(shift, rel=0.2)


def test_another_file_under_a_models_name_is_found_though_its_hash_is_right(bundle_copy: Path, reseal: Reseal) -> None:
    (bundle_copy / "model.float32.onnx").write_bytes((bundle_copy / "model.int8.onnx").read_bytes())
    reseal(bundle_copy)
    assert find(bundle_copy).verify() > 0, "nothing else notices: hashes and embedded spec are right"
    assert ("logits", "model.float32.onnx", "onnxruntime") in failures(run_selftest(find(bundle_copy)))


def test_an_int8_file_with_other_weights_is_found_though_its_hash_is_right(bundle_copy: Path, reseal: Reseal) -> None:
    path = bundle_copy / "model.int8.onnx"
    model = onnx.load(str(path))
    weights = max(
        (t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8),
        key=lambda t: numpy_helper.to_array(t).size,
    )
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights)[::-1].copy(), weights.name))
    path.write_bytes(model.SerializeToString())
    reseal(bundle_copy)
    assert find(bundle_copy).verify() > 0
    failed = failures(run_selftest(find(bundle_copy)))
    assert ("logits", "model.int8.onnx", "onnxruntime") in failed
    assert not any(runtime == "litert" for _, _, runtime in failed)


def test_a_flipped_decision_is_found_and_its_image_named(bundle_copy: Path, rewrite: Rewrite) -> None:
    def flipped(golden: Golden) -> Golden:
        row = list(golden.decisions[Format.ONNX])
        row[3] = Decision.NEGATIVE if row[3] is not Decision.NEGATIVE else Decision.POSITIVE
        return replace(golden, decisions=golden.decisions | {Format.ONNX: tuple(row)})

    rewrite(bundle_copy, flipped)
    certificate = run_selftest(find(bundle_copy))
    assert failures(certificate) == {("decision", "pictures", "onnxruntime")}
    (check,) = certificate.failed()
    assert (check.differing, check.picture) == (1, load_golden(find(bundle_copy)).names[3])


def test_int8_may_stray_by_its_own_rounding_and_float32_by_the_specs_tolerance(phantom_bundle: Path) -> None:
    manifest = find(phantom_bundle).manifest
    measured = {row.file: row.logit_mean for row in manifest.parity}
    for entry in (e for e in manifest.files if e.format is not None):
        exact = manifest.spec.tolerance.float32_logit_max
        expected = exact if entry.precision is Precision.FLOAT32 else 2 * measured[entry.name]
        assert logit_tolerance(entry, manifest) == expected > 0, entry.name
        unmeasured = logit_tolerance(entry, replace(manifest, parity=()))
        assert unmeasured == (exact if entry.precision is Precision.FLOAT32 else 0.0)


@pytest.mark.parametrize("share, passes", [(0.9, True), (1.1, False)])
def test_int8_logits_are_judged_by_their_mean_difference(phantom_bundle: Path, share: float, passes: bool) -> None:
    bundle = find(phantom_bundle)
    golden, entry = load_golden(bundle), bundle.model(Format.TFLITE, Precision.INT8)
    assert entry is not None
    tolerance = logit_tolerance(entry, bundle.manifest)
    found = golden.logits[entry.name].copy()
    found[4, 0] += np.float32(share * tolerance * found.size)
    check = compare_logits(golden, entry, Runtime.LITERT.value, found, tolerance)
    assert (check.passed, check.differing, check.picture) == (passes, 1, golden.names[4])
    assert check.difference == pytest.approx(share * tolerance, rel=1e-2)
    assert check.largest == pytest.approx(share * tolerance * found.size, rel=1e-2)


def test_a_flipped_bit_in_the_golden_vectors_is_refused_by_its_hash(bundle_copy: Path) -> None:
    data = bytearray((bundle_copy / GOLDEN).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle_copy / GOLDEN).write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=r"golden\.npz has SHA-256 "):
        run_selftest(find(bundle_copy))


def test_a_bundle_or_file_without_golden_vectors_says_what_to_do(
    edited_bundle: Callable[[Callable[[dict[str, Any]], object]], Path], phantom_bundle: Path
) -> None:
    def drop(value: dict[str, Any]) -> None:
        value["files"] = [entry for entry in value["files"] if entry["role"] != "golden"]

    for path, remedy in ((edited_bundle(drop), "python -m export"), (phantom_bundle / "model.int8.onnx", "folder")):
        with pytest.raises(BundleError, match=remedy) as caught:
            run_selftest(find(path))
        assert (caught.value.code, caught.value.exit_code) == ("golden_missing", 3)


def objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, keras_logits=np.array([{"run": "me"}], dtype=object))
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"", b"PK no zip", objects()], ids=["empty", "garbage", "pickled objects"])
def test_what_is_no_golden_file_is_refused_by_name(data: bytes, bundle_copy: Path, reseal: Reseal) -> None:
    (bundle_copy / GOLDEN).write_bytes(data)
    reseal(bundle_copy)
    with pytest.raises(BundleError) as caught:
        run_selftest(find(bundle_copy))
    assert caught.value.code == "golden_unreadable", caught.value.message


MISFITS: dict[str, tuple[str, Callable[[Golden], Golden]]] = {
    "tensors of another size": ("golden_mismatch", lambda g: replace(g, samples=g.samples[:, :-1])),
    "a file too few": ("golden_mismatch", lambda g: replace(g, logits=dict(list(g.logits.items())[1:]))),
    "a format too few": ("golden_mismatch", lambda g: replace(g, decisions={})),
    "a row too few": ("golden_unreadable", lambda g: replace(g, keras=g.keras[1:])),
    "no number": ("golden_unreadable", lambda g: replace(g, keras=g.keras * np.float32(np.nan))),
    "no image": ("golden_unreadable", lambda g: replace(g, names=(), images=())),
}


@pytest.mark.parametrize("case", MISFITS)
def test_golden_vectors_that_do_not_fit_the_model_are_refused(case: str, bundle_copy: Path, rewrite: Rewrite) -> None:
    code, alter = MISFITS[case]
    rewrite(bundle_copy, alter)
    with pytest.raises(BundleError) as caught:
        run_selftest(find(bundle_copy))
    assert caught.value.code == code, caught.value.message


def test_files_that_no_interpreter_here_reads_are_listed_with_the_remedy(
    phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "installed", lambda runtime: runtime is Runtime.LITERT)
    certificate = run_selftest(find(phantom_bundle))
    assert certificate.passed
    assert {check.runtime for check in certificate.checks} == {None, "litert"}
    assert {missing.file for missing in certificate.not_run} == {"model.int8.onnx", "model.float32.onnx"}
    assert {missing.remedy for missing in certificate.not_run} == {'pip install "onnxruntime>=1.23.2,<1.33"'}


def test_without_any_interpreter_nothing_is_certified(phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "installed", lambda runtime: False)
    with pytest.raises(InterpreterMissingError, match="pip install"):
        run_selftest(find(phantom_bundle))


def test_an_interpreter_that_does_not_start_fails_and_the_others_are_tested(
    phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: bytes, runtime: Runtime, *, provider: Provider) -> base.Backend:
        if runtime is Runtime.ONNXRUNTIME:
            raise InterpreterBrokenError("onnxruntime refuses this model: made up.")
        return open_model(model, runtime, provider=provider)

    monkeypatch.setattr(replay, "open_model", refuse)
    source = find(phantom_bundle)
    certificate = run_selftest(source)
    assert failures(certificate) == {("logits", "model files", "onnxruntime")}
    assert certificate.failed()[0].problem == "onnxruntime refuses this model: made up."
    files = sum(entry.format is Format.TFLITE for entry in source.manifest.files)
    assert sum(check.runtime == "litert" for check in certificate.checks) == files + 2  # and decisions and maps


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 5, 3), (50, 50, 3), (128, 128, 1), (224, 224, 3), (256, 256, 3)])
def test_sampled_places_are_different_and_reach_every_row_column_and_channel(shape: tuple[int, int, int]) -> None:
    size = int(np.prod(shape))
    found = places(size)
    assert len(set(found.tolist())) == len(found) == min(size, 4096)
    reached = np.unravel_index(found, shape)
    assert tuple(len(set(axis.tolist())) for axis in reached) == shape


def test_a_golden_file_read_holds_what_was_written(phantom_bundle: Path) -> None:
    from edge_runtime.golden.vectors import to_npz

    def entries(npz: bytes) -> dict[str, bytes]:  # headers of the zip depend on Python's release
        with zipfile.ZipFile(io.BytesIO(npz)) as opened:
            return {name: opened.read(name) for name in opened.namelist()}

    data = (phantom_bundle / GOLDEN).read_bytes()
    assert entries(to_npz(from_npz(data, "golden"))) == entries(data)


def test_one_file_alone_gives_the_check_of_the_whole_self_test(phantom_bundle: Path) -> None:
    source = find(phantom_bundle)
    whole = {check.subject: check for check in run_selftest(source).checks if check.step is Step.LOGITS}
    for name, runtime in (("model.int8.tflite", Runtime.LITERT), ("model.float32.onnx", Runtime.ONNXRUNTIME)):
        assert replay_file(source, name, runtime) == whole[name]


def test_one_file_that_an_interpreter_rejects_is_a_failed_check_with_the_reason(
    phantom_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reject(*_: object, **__: object) -> None:
        raise InterpreterBrokenError("litert lacks version 2 of the operator LOG.")

    monkeypatch.setattr(replay, "open_model", reject)
    check = replay_file(find(phantom_bundle), "model.int8.tflite", Runtime.LITERT)
    assert (check.passed, check.runtime, check.problem) == (
        False,
        "litert",
        "litert lacks version 2 of the operator LOG.",
    )
