"""Export a source model to a bundle: check, convert, embed, compare, measure, and write card and manifest.

All work happens in a hidden folder beside ``out``, which is renamed to ``out`` at the end. After a failure, nothing is
left at ``out``.
"""

from __future__ import annotations

import platform
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_runtime import __version__
from edge_runtime.bundle.bundle import describe_files, find, write_manifest
from edge_runtime.bundle.manifest import (
    KERAS,
    ROUNDED,
    SCHEMA,
    Attempt,
    FamiliarityParity,
    FileEntry,
    Format,
    Labelled,
    Manifest,
    Precision,
    Reference,
    Role,
)
from edge_runtime.bundle.saliency import Method
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.explain.class_activation import FILE
from export.conversion import ExportFolder, Logits, ParityImages, convert
from export.converters.isolation import in_own_process
from export.errors import ExportError
from export.model_card import model_card
from export.progress import ExportProgress, Stage
from export.quantisation.search import SearchPlan
from export.quantisation.shares import shares
from export.source import feature_map, keras_model
from export.source.calibration_images import PreparedImages, Reading, Truth
from export.source.foreign import network as foreign
from export.source.foreign.formats import KIND, foreign_format
from export.source.foreign.network import reference_of
from export.source.source import SourceModel, from_artifact
from export.source.stored_tensors import Tensors
from export.validation import familiarity, heatmaps, parity
from export.validation.contradiction import contradict
from export.validation.golden import golden_tensors, write_golden
from export.validation.labelled import labelled
from training.artifact import Artifact
from training.versions import version

CARD = "MODEL_CARD.md"


def export(artifact: Artifact, calibration: Path, data: Path | None, out: Path, *, float16: bool = False) -> Manifest:
    """Write the bundle of ``artifact`` to ``out``; see :func:`export_source`.

    Args:
        data: folder of the published data set, whose validation patients give the parity images; None to use the
            calibration images for parity.
    """
    return export_source(from_artifact(artifact, data), calibration, out, float16=float16)


def export_source(
    source: SourceModel,
    calibration: Path,
    out: Path,
    *,
    float16: bool = False,
    insist: bool = False,
    peers: bool = False,
) -> Manifest:
    """Write the bundle of ``source`` to ``out`` and return its manifest.

    Args:
        calibration: folder of images, or folder with a ``samples.csv`` that lists published images.
        float16: also write a TFLite file with float16 weights.
        insist: export even if the labelled images contradict the model; the model card then has a warning.
        peers: compare the int8 files with other quantisers and settings.

    Raises:
        ExportError: model and spec contradict each other, or a converter, an image or a comparison failed. Nothing is
            left at ``out``.
    """
    check_wanted(source, out, float16=float16)
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as hidden,
        ExportProgress(float16=float16) as progress,
    ):
        work = ExportFolder(Path(hidden) / "bundle", Path(hidden) / "scratch")
        work.bundle.mkdir()
        work.scratch.mkdir()
        progress.begin(Stage.READ)
        images, held_out = source.images(calibration, Reading(work.scratch))
        drawn = golden_tensors(source.spec)
        progress.begin(Stage.KERAS)
        network, logits = examine(source, work, held_out.tensors, images.tensors, drawn)
        judged, ranges = ParityImages(held_out.tensors, logits[0]), ParityImages(images.tensors, logits[1])
        described = contradict(source, held_out, logits[0], network, work.scratch, insist)
        progress.begin(Stage.HEATMAPS)
        explained = heatmaps.examine(network, source.spec, judged, ParityImages(drawn, logits[2]), work)
        mapped = feature_map.examine(
            network, explained.network, source.spec, judged.tensors, drawn, ranges.tensors, work.scratch
        )
        networks = mapped.network, mapped.explained
        attempts = convert(
            *(*networks, source.spec, judged, ranges, work),
            float16=float16,
            moments=mapped.ranges,
            progress=progress,
            plan=SearchPlan(peers=peers),
        )
        progress.begin(Stage.PROVE)
        same = "the same images" if held_out is images else images.source
        described = replace(described, source=f"{described.source}; int8 ranges from {same}")
        manifest = _prove(
            source, attempts, described, judged, logits[2], explained, mapped, work, reference_of(network)
        )
        find(work.bundle).verify()
        work.bundle.rename(out)
    return manifest


def check_wanted(source: SourceModel, out: Path | None, *, float16: bool) -> None:
    """Refuse a path for a bundle that exists, and a float16 file of a model that is not of Keras.

    Raises:
        ExportError: one of both.
    """
    if out is not None and out.exists():
        raise ExportError(f"{out}: already exists and is not overwritten; give another --out or remove it.")
    if float16 and (form := foreign_format(source.model_path)) is not None:
        raise ExportError(
            f"{source.model_path}: found {KIND[form]}, expected a Keras model for --float16. Leave it out."
        )


def examine(source: SourceModel, work: ExportFolder, *sets: Tensors) -> tuple[Path, list[Logits]]:
    """Check the model against its spec; return the network cut at its logits, and the logits of each tensor set.

    Args:
        sets: preprocessed images, float32 N×H×W×C each.

    Raises:
        ExportError: model and spec contradict each other, or Keras cannot read the model.
    """
    form = foreign_format(source.model_path)
    suffix = ".keras" if form is None else f".{form.value}"
    network = work.scratch / ("network" if source.model_path.is_dir() else f"network{suffix}")
    logits, refusal = work.scratch / "logits.npy", work.scratch / "refusal.txt"
    tensors = keras_model.save_sets(work.scratch / "tensors.npy", sets)
    given, written = (str(source.model_path), tensors), (str(network), str(logits), str(refusal))
    write = keras_model.write_network if form is None else foreign.write_network
    in_own_process(write, *given, source.spec, source.output, *written)
    if refusal.is_file():
        raise ExportError(refusal.read_text(encoding="utf-8"))
    ends = np.cumsum([len(tensors) for tensors in sets])[:-1]
    return network, np.split(np.load(logits), ends)


def _prove(
    source: SourceModel,
    attempts: tuple[Attempt, ...],
    held_out: PreparedImages,
    judged: ParityImages,
    golden: Logits,
    explained: heatmaps.HeatmapReference,
    mapped: feature_map.FeatureMap,
    work: ExportFolder,
    given: Reference | None,
) -> Manifest:
    """Check every file, fit the guard band, and write golden vectors, card and manifest to the hidden folder."""
    spec, reference = source.spec, judged.logits
    named = [(path.name, Role.MODEL, form, precision) for form, precision, path in work.written()]
    entries = describe_files(work.bundle, named)
    answers = {_key(entry): parity.answer(work.bundle, entry, judged.tensors) for entry in entries}
    for found in answers.values():
        parity.check(found, reference, spec)
    exact = {form: found.logits for (form, precision), found in answers.items() if precision is Precision.FLOAT32}
    rounded = [
        (found.logits, exact[form])
        for (form, precision), found in answers.items()
        if precision in ROUNDED and form in exact  # without a float32 file, no file decides in its place
    ]
    band = parity.guard_band(rounded, spec)
    familiarity_band, familiarity_parity = _familiarity(answers, mapped, spec)
    saliency, map_parity = heatmaps.prove(explained, spec, judged.tensors, work)
    manifest = Manifest(
        schema=SCHEMA,
        spec=spec,
        contract=spec.contract,
        files=entries,
        guard_band=band,
        guard_band_exceptions=parity.exceptions(len(reference)) if rounded else None,
        parity_source=held_out.source,
        parity=tuple(
            parity.measure(found, exact.get(form, reference), reference, spec, band)
            for (form, _), found in answers.items()
        ),
        training=source.training,
        evaluations=source.evaluations,
        toolchain=_toolchain(attempts),
        attempts=attempts,
        labelled=_labelled(held_out.truth, reference, tuple(answers.values()), spec, given),
        map_parity=map_parity,
        localisations=source.localisations,
        sites=source.sites,
        saliency=saliency,
        familiarity_band=familiarity_band,
        familiarity_parity=familiarity_parity,
        warnings=held_out.warnings or None,
        quantised=shares(work.bundle, entries),
        reference=given,
    )
    if (work.bundle / FILE).exists():
        entries += describe_files(work.bundle, [(FILE, Role.SALIENCY, None, None)])
    maps = None if saliency.method is Method.NONE else explained.golden
    vectors = write_golden(work.bundle, manifest, golden, maps)
    (work.bundle / CARD).write_text(model_card(manifest), encoding="utf-8")
    card = describe_files(work.bundle, [(CARD, Role.CARD, None, None)])
    manifest = replace(manifest, files=(*entries, vectors, *card))
    write_manifest(work.bundle, manifest)
    return manifest


def _familiarity(
    answers: dict[tuple[Format, Precision], parity.FileLogits], mapped: feature_map.FeatureMap, spec: ModelSpec
) -> tuple[float | None, tuple[FamiliarityParity, ...] | None]:
    """Return the familiarity band and the parity of each file's distances; None for a spec without the check."""
    check = spec.network_check
    if check is None or mapped.judged is None:
        return None, None
    shares = {key: check.shares(found.moments) for key, found in answers.items()}
    exact = {form: shares[form, Precision.FLOAT32] for form in Format}
    band = familiarity.band([(shares[key], exact[key[0]]) for key in answers if key[1] in ROUNDED])
    rows = (familiarity.measure(found, exact[form], mapped.judged, spec, band) for (form, _), found in answers.items())
    return band, tuple(rows)


def _labelled(
    truth: Truth | None,
    reference: Logits,
    answers: tuple[parity.FileLogits, ...],
    spec: ModelSpec,
    given: Reference | None,
) -> tuple[Labelled, ...]:
    if truth is None:
        return ()
    files = tuple(labelled(found.entry.name, found.logits, truth, spec) for found in answers)
    return (labelled(KERAS if given is None else given.name, reference, truth, spec), *files)


def _key(entry: FileEntry) -> tuple[Format, Precision]:
    if entry.format is None or entry.precision is None:
        raise TypeError(f"{entry.name} is no model file")
    return entry.format, entry.precision


def _toolchain(attempts: tuple[Attempt, ...]) -> dict[str, str]:
    """Return the versions that determine the files' bytes, and the widest SIMD: int8 ranges depend on float sums."""
    packages = (
        "tensorflow",
        "keras",
        "tf2onnx",
        "onnx",
        "onnxruntime",
        "ai-edge-litert",
        "numpy",
        "opencv-python-headless",
        *(("ai-edge-quantizer",) if any("ai-edge-quantizer" in attempt.how for attempt in attempts) else ()),
    )
    simd = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return {
        "edge-predict": __version__,
        "python": platform.python_version(),
        "processor": f"{platform.machine()} {simd[-1] if simd else 'baseline'}",
    } | {name: version(name) for name in packages}
