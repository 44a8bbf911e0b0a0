"""Artifact → bundle: convert, embed, compare, measure, describe; then, and only then, one rename.

All work happens in a hidden folder beside ``out``. Whatever fails leaves nothing at ``out``.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge_runtime import __version__
from edge_runtime.bundle import describe_files, find, write_manifest
from edge_runtime.manifest import SCHEMA, FileEntry, Format, Manifest, Precision, Role
from edge_runtime.spec import ModelSpec
from export import equalise, keras_model, parity, to_onnx, to_tflite
from export.card import model_card
from export.errors import ExportError
from export.isolation import in_own_process
from export.representative import Pictures, load_calibration
from training.artifact import Artifact
from training.recipes import find_recipe
from training.splits import Part, select
from training.tensors import balanced_index, load_tensors
from training.versions import version

PARITY_PICTURES = 600
"""Validation pictures on which parity and guard band are measured, half of them of each label."""

CARD = "MODEL_CARD.md"
_NAMES = {(form, precision): f"model.{precision.value}.{form.value}" for form in Format for precision in Precision}


@dataclass(frozen=True)
class _Work:
    """The hidden folder: what goes into the bundle, and the scratch beside it."""

    bundle: Path
    scratch: Path

    def model(self, form: Format, precision: Precision) -> Path:
        return self.bundle / _NAMES[form, precision]

    def save(self, name: str, tensors: npt.NDArray[np.float32]) -> str:
        path = self.scratch / f"{name}.npy"
        np.save(path, tensors)
        return str(path)


def export(artifact: Artifact, calibration: Path, data: Path | None, out: Path) -> Manifest:
    """Write the bundle of ``artifact`` to ``out`` and return its manifest.

    Args:
        calibration: folder of pictures, or with a ``samples.csv`` that names published ones.
        data: the published data set; parity is then measured on its validation patients, else on the
            calibration pictures themselves.

    Raises:
        ExportError: a converter, a picture or a comparison failed; nothing is left at ``out``.
        ArtifactError: ``artifact`` is incomplete.
    """
    if out.exists():
        raise ExportError(f"{out}: already there and not overwritten; give another --out or remove it.")
    spec = artifact.spec()
    artifact.measured()  # an artifact without its figures fails here, not after all conversions
    pictures = load_calibration(calibration, data, spec)
    held_out = _parity_pictures(artifact, data, spec) if data is not None else pictures
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as hidden:
        work = _Work(Path(hidden) / "bundle", Path(hidden) / "scratch")
        work.bundle.mkdir()
        work.scratch.mkdir()
        reference = _convert(artifact, spec, pictures, held_out, work)
        manifest = _prove(artifact, spec, pictures, held_out, reference, work)
        find(work.bundle).verify()
        work.bundle.rename(out)
    return manifest


def _parity_pictures(artifact: Artifact, data: Path, spec: ModelSpec) -> Pictures:
    """Read validation pictures: patients that neither weights nor int8 ranges have seen."""
    dataset = find_recipe(spec.name).source.load(data)
    samples = select(dataset.samples, artifact.split(), Part.VALIDATION)
    rows = balanced_index(np.array([sample.label for sample in samples]), seed=0)
    step = max(1, -(-len(rows) // PARITY_PICTURES))
    tensors = load_tensors([samples[i] for i in rows[::step]], spec, label="parity")
    groups = len(set(tensors.groups))
    return Pictures(tensors.images, f"{len(tensors.images)} pictures of {groups} validation patients")


def _convert(
    artifact: Artifact, spec: ModelSpec, pictures: Pictures, held_out: Pictures, work: _Work
) -> npt.NDArray[np.float32]:
    """Write the four model files, each in a process of its own, and return the Keras model's logits."""
    model = str(artifact.model_path)
    ranges, judged = work.save("calibration", pictures.tensors), work.save("parity", held_out.tensors)
    files = {key: str(work.bundle / name) for key, name in _NAMES.items()}
    equalised, equalised_onnx = (str(work.scratch / f"equalised.{kind}") for kind in ("keras", "onnx"))
    reference = work.scratch / "logits.npy"
    jobs: tuple[tuple[str, Callable[..., None], tuple[str, ...]], ...] = (
        ("tflite float32", to_tflite.write_float32, (model, files[Format.TFLITE, Precision.FLOAT32])),
        ("onnx float32", to_onnx.write_float32, (model, files[Format.ONNX, Precision.FLOAT32])),
        ("equalise", equalise.write_equalised, (model, ranges, equalised)),
        ("tflite int8", to_tflite.write_int8, (equalised, ranges, files[Format.TFLITE, Precision.INT8])),
        ("onnx equalised", to_onnx.write_float32, (equalised, equalised_onnx)),
        ("onnx int8", to_onnx.write_int8, (equalised_onnx, ranges, files[Format.ONNX, Precision.INT8])),
        ("keras logits", keras_model.write_logits, (model, judged, str(reference))),
    )
    for label, job, args in (bar := tqdm(jobs, unit="step", disable=None, leave=False)):
        bar.set_description(label)
        in_own_process(job, *args)
    for precision in Precision:
        to_tflite.embed(work.model(Format.TFLITE, precision), spec)
        to_onnx.embed(work.model(Format.ONNX, precision), spec)
    logits: npt.NDArray[np.float32] = np.load(reference)
    return logits


def _prove(
    artifact: Artifact,
    spec: ModelSpec,
    pictures: Pictures,
    held_out: Pictures,
    reference: npt.NDArray[np.float32],
    work: _Work,
) -> Manifest:
    """Check every file, fit the guard band, and write manifest and card into the hidden bundle."""
    entries = describe_files(work.bundle, [(name, Role.MODEL, *key) for key, name in _NAMES.items()])
    answers = {_key(entry): parity.answer(work.bundle, entry, held_out.tensors) for entry in entries}
    for found in answers.values():
        parity.check(found, reference, spec)
    exact = {form: answers[form, Precision.FLOAT32].logits for form in Format}
    band = parity.guard_band([(answers[form, Precision.INT8].logits, exact[form]) for form in Format], spec)
    measured = artifact.measured()
    manifest = Manifest(
        schema=SCHEMA,
        spec=spec,
        contract=spec.contract,
        files=entries,
        guard_band=band,
        parity_source=f"{held_out.source}; int8 ranges from {pictures.source}",
        parity=tuple(parity.measure(found, exact[form], reference, spec, band) for (form, _), found in answers.items()),
        training=measured.training,
        evaluations=measured.evaluations,
        toolchain=_toolchain(),
    )
    (work.bundle / CARD).write_text(model_card(manifest), encoding="utf-8")
    card = describe_files(work.bundle, [(CARD, Role.CARD, None, None)])
    manifest = replace(manifest, files=(*entries, *card))
    write_manifest(work.bundle, manifest)
    return manifest


def _key(entry: FileEntry) -> tuple[Format, Precision]:
    if entry.format is None or entry.precision is None:
        raise TypeError(f"{entry.name} is no model file")
    return entry.format, entry.precision


def _toolchain() -> dict[str, str]:
    """Name everything that decides the files' bytes; the widest SIMD counts, since ranges are float sums."""
    packages = (
        "tensorflow",
        "keras",
        "tf2onnx",
        "onnx",
        "onnxruntime",
        "ai-edge-litert",
        "numpy",
        "opencv-python-headless",
    )
    simd = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return {
        "edge-predict": __version__,
        "python": platform.python_version(),
        "processor": f"{platform.machine()} {simd[-1] if simd else 'baseline'}",
    } | {name: version(name) for name in packages}
