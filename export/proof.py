"""Compare the files of a bundle with their source, and write golden vectors, card and manifest beside them."""

from __future__ import annotations

import platform
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge_runtime import __version__
from edge_runtime.bundle.bundle import describe_files, write_manifest
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
from export.conversion import ExportFolder, Logits, ParityImages
from export.model_card import model_card
from export.quantisation.shares import shares
from export.source import feature_map
from export.source.calibration_images import PreparedImages, Truth
from export.source.source import SourceModel
from export.validation import familiarity, heatmaps, parity
from export.validation.golden import write_golden
from export.validation.labelled import labelled
from training.versions import version

CARD = "MODEL_CARD.md"


def prove(
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
    familiarity_band, familiarity_parity = _familiarity(answers, judged, mapped, spec)
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
    maps = None if saliency.method is Method.NONE else explained.golden
    return _finished(manifest, golden, maps, work)


def _finished(manifest: Manifest, golden: Logits, maps: npt.NDArray[np.float32] | None, work: ExportFolder) -> Manifest:
    """Write golden vectors, card and manifest; return the manifest with these files."""
    entries = manifest.files
    if (work.bundle / FILE).exists():
        entries += describe_files(work.bundle, [(FILE, Role.SALIENCY, None, None)])
    vectors = write_golden(work.bundle, manifest, golden, maps)
    (work.bundle / CARD).write_text(model_card(manifest), encoding="utf-8")
    card = describe_files(work.bundle, [(CARD, Role.CARD, None, None)])
    manifest = replace(manifest, files=(*entries, vectors, *card))
    write_manifest(work.bundle, manifest)
    return manifest


def _familiarity(
    answers: dict[tuple[Format, Precision], parity.FileLogits],
    judged: ParityImages,
    mapped: feature_map.FeatureMap,
    spec: ModelSpec,
) -> tuple[float | None, tuple[FamiliarityParity, ...] | None]:
    """Return the familiarity band and the parity of each file's distances; None for a spec without the check."""
    check = spec.network_check
    if check is None or mapped.judged is None:
        return None, None
    distances = {key: check.shares(found.moments) for key, found in answers.items()}
    exact = {form: distances[form, Precision.FLOAT32] for form in Format}
    band = familiarity.band([(distances[key], exact[key[0]]) for key in answers if key[1] in ROUNDED])
    reference = check.shares(mapped.judged)
    rows = (
        familiarity.measure(found, distances[form, precision], exact[form], reference, spec, band)
        for (form, precision), found in answers.items()
    )
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
