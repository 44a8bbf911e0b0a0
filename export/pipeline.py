"""Source → bundle: examine, convert, embed, compare, measure, describe; then, and only then, one rename.

All work happens in a hidden folder beside ``out``. Whatever fails leaves nothing at ``out``.
"""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge_runtime import __version__
from edge_runtime.bundle import describe_files, find, write_manifest
from edge_runtime.manifest import SCHEMA, Attempt, FileEntry, Format, Manifest, Precision, Role
from edge_runtime.spec import ModelSpec
from export import equalise, keras_model, ladder, parity, tflite_file, to_onnx, to_tflite
from export.card import model_card
from export.errors import ExportError
from export.golden import golden_tensors, write_golden
from export.isolation import in_own_process
from export.quantisation import Quantisation
from export.source import Source, from_artifact
from training.artifact import Artifact
from training.versions import version

CARD = "MODEL_CARD.md"
Logits = npt.NDArray[np.float32]
_NAMES = {(form, precision): f"model.{precision.value}.{form.value}" for form in Format for precision in Precision}


@dataclass(frozen=True)
class _Judged:
    """Prepared pictures, float32 N×H×W×C, and what the Keras network answers to them, float32 N×outputs."""

    tensors: npt.NDArray[np.float32]
    logits: Logits


@dataclass(frozen=True)
class _Work:
    """The hidden folder: what goes into the bundle, and the scratch beside it."""

    bundle: Path
    scratch: Path

    def model(self, form: Format, precision: Precision) -> Path:
        return self.bundle / _NAMES[form, precision]

    def folder(self, form: Format) -> Path:
        """Return a scratch folder of one format alone."""
        path = self.scratch / form.value
        path.mkdir(exist_ok=True)
        return path

    def save(self, name: str, tensors: npt.NDArray[np.float32]) -> str:
        path = self.scratch / f"{name}.npy"
        np.save(path, tensors)
        return str(path)


def export(artifact: Artifact, calibration: Path, data: Path | None, out: Path) -> Manifest:
    """Write the bundle of ``artifact`` to ``out``; see :func:`export_source`.

    Args:
        data: the published data set; parity is then measured on its validation patients, else on the
            calibration pictures themselves.
    """
    return export_source(from_artifact(artifact, data), calibration, out)


def export_source(source: Source, calibration: Path, out: Path) -> Manifest:
    """Write the bundle of ``source`` to ``out`` and return its manifest.

    Args:
        calibration: folder of pictures, or with a ``samples.csv`` that names published ones.

    Raises:
        ExportError: model and spec contradict each other, or a converter, a picture or a comparison failed;
            nothing is left at ``out``.
    """
    if out.exists():
        raise ExportError(f"{out}: already there and not overwritten; give another --out or remove it.")
    pictures, held_out = source.pictures(calibration)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as hidden:
        work = _Work(Path(hidden) / "bundle", Path(hidden) / "scratch")
        work.bundle.mkdir()
        work.scratch.mkdir()
        drawn = golden_tensors(source.spec)
        network, logits = _examine(source, work, held_out.tensors, pictures.tensors, drawn)
        judged, ranges = _Judged(held_out.tensors, logits[0]), _Judged(pictures.tensors, logits[1])
        attempts = _convert(network, source.spec, judged, ranges, work)
        same = "the same pictures" if held_out is pictures else pictures.source
        manifest = _prove(source, attempts, f"{held_out.source}; int8 ranges from {same}", judged, logits[2], work)
        find(work.bundle).verify()
        work.bundle.rename(out)
    return manifest


def _examine(source: Source, work: _Work, *sets: npt.NDArray[np.float32]) -> tuple[Path, list[Logits]]:
    """Check the model against its spec; return the network cut at its logits, and its logits for sets of tensors.

    Raises:
        ExportError: they contradict each other, or Keras cannot read the model.
    """
    network = work.scratch / ("network" if source.model_path.is_dir() else "network.keras")
    logits, refusal = work.scratch / "logits.npy", work.scratch / "refusal.txt"
    tensors = work.save("tensors", np.concatenate(sets))
    in_own_process(
        keras_model.write_network,
        *(str(source.model_path), tensors, source.spec, str(network), str(logits), str(refusal)),
    )
    if refusal.is_file():
        raise ExportError(refusal.read_text(encoding="utf-8"))
    ends = np.cumsum([len(tensors) for tensors in sets])[:-1]
    return network, np.split(np.load(logits), ends)


def _convert(network: Path, spec: ModelSpec, judged: _Judged, ranges: _Judged, work: _Work) -> tuple[Attempt, ...]:
    """Write the four model files, each conversion in a process of its own; return the ways of quantising tried."""
    model, calibration = str(network), work.save("calibration", ranges.tensors)
    attempts: tuple[Attempt, ...] = ()
    with tqdm(total=5, unit="step", disable=None, leave=False) as bar:

        def step(label: str) -> None:
            bar.set_description(label)
            bar.update()

        step("tflite float32")
        in_own_process(to_tflite.write_float32, model, str(work.model(Format.TFLITE, Precision.FLOAT32)))
        step("onnx float32")
        in_own_process(to_onnx.write_float32, model, str(work.model(Format.ONNX, Precision.FLOAT32)))
        if not network.is_dir():  # a SavedModel's layers are out of reach
            step("equalise")
            model = str(work.scratch / "equalised.keras")
            in_own_process(equalise.write_equalised, str(network), calibration, model)
        for form in Format:
            step(f"{form.value} int8")
            attempts += _quantise(
                form, ladder.Shop(work.folder(form), model, calibration, ranges.logits), judged, ranges, spec, work
            )
    for precision in Precision:
        tflite_file.embed(work.model(Format.TFLITE, precision), spec)
        to_onnx.embed(work.model(Format.ONNX, precision), spec)
    return attempts


def _quantise(
    form: Format, shop: ladder.Shop, judged: _Judged, ranges: _Judged, spec: ModelSpec, work: _Work
) -> tuple[Attempt, ...]:
    def judge(path: Path, how: Quantisation) -> Attempt:
        logits = parity.logits_of(path, form, judged.tensors)
        return parity.judge(path, how.text(), logits, judged.logits, spec)

    def run(path: Path) -> Logits:
        return parity.logits_of(path, form, ranges.tensors)

    return ladder.quantise(form, shop, run, judge, work.model(form, Precision.INT8))


def _prove(
    source: Source, attempts: tuple[Attempt, ...], parity_source: str, judged: _Judged, golden: Logits, work: _Work
) -> Manifest:
    """Check every file, fit the guard band, and write golden vectors, card and manifest into the hidden bundle."""
    spec, reference = source.spec, judged.logits
    entries = describe_files(work.bundle, [(name, Role.MODEL, *key) for key, name in _NAMES.items()])
    answers = {_key(entry): parity.answer(work.bundle, entry, judged.tensors) for entry in entries}
    for found in answers.values():
        parity.check(found, reference, spec)
    exact = {form: answers[form, Precision.FLOAT32].logits for form in Format}
    band = parity.guard_band([(answers[form, Precision.INT8].logits, exact[form]) for form in Format], spec)
    manifest = Manifest(
        schema=SCHEMA,
        spec=spec,
        contract=spec.contract,
        files=entries,
        guard_band=band,
        parity_source=parity_source,
        parity=tuple(parity.measure(found, exact[form], reference, spec, band) for (form, _), found in answers.items()),
        training=source.training,
        evaluations=source.evaluations,
        toolchain=_toolchain(),
        attempts=attempts,
    )
    vectors = write_golden(work.bundle, manifest, golden)
    (work.bundle / CARD).write_text(model_card(manifest), encoding="utf-8")
    card = describe_files(work.bundle, [(CARD, Role.CARD, None, None)])
    manifest = replace(manifest, files=(*entries, vectors, *card))
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
