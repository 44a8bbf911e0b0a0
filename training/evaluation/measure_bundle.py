"""Measures a bundle on labelled images with the device's runtime, and optionally its Keras model on the same images."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_runtime import Predictor, Runtime
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.manifest import KERAS, Precision
from edge_runtime.bundle.metrics import Evaluation, Figure, SiteFigures
from edge_runtime.inference.backends.registry import FORMAT
from edge_runtime.serialisation.records import ABSENT, to_dict
from training.artifact import Artifact
from training.data.datasets import Dataset, Sample
from training.errors import ArtifactError, DatasetError
from training.evaluation.artifact_runner import ALL, OpenArtifact
from training.evaluation.device import DeviceOutputs, answer_on_device
from training.evaluation.measure import by_site
from training.metrics.changes import changes
from training.metrics.evaluation import evaluate_scored
from training.metrics.scored import Scored
from training.metrics.subgroups import with_subgroups
from training.recipes import find_recipe


@dataclass(frozen=True)
class BundleRun:
    """The bundle to measure, and how it runs.

    Attributes:
        precision: of the model file that predicts first, before any fallback to float32.
    """

    bundle: Bundle
    backend: Runtime = Runtime.AUTO
    precision: Precision = Precision.INT8


@dataclass(frozen=True)
class BundleDocument:
    """The document that ``evaluate BUNDLE`` prints as JSON and writes into ``metrics.json``.

    Attributes:
        part: ``validation``, ``test`` or ``all``.
        evaluations: of the bundle, then of the Keras model where it was given.
        shares: share of all images with each decision, with each reason, and with a rerun in float32.
        changes: paired figures of the bundle minus those of the Keras model; empty where it was not given.
        sites: figures by site and scanner: the never-seen ones of the manifest, then those of this part; None where
            there are neither.
    """

    part: str
    grouped_by: str
    model: str
    version: str
    contract: str
    backend: str
    precision: str
    evaluations: tuple[Evaluation, ...]
    shares: tuple[Figure, ...]
    changes: tuple[Figure, ...] = ()
    sites: tuple[SiteFigures, ...] | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True, eq=False)
class BundleMeasurement:
    """The metrics of a bundle, and the predictions from which they were computed."""

    document: BundleDocument
    answers: DeviceOutputs
    dataset: Dataset


def measure_bundle(
    device: BundleRun, data: Path, part: str, *, artifact: Artifact | None = None, strict: bool = False
) -> BundleMeasurement:
    """Run a bundle on one part of the data with the device's runtime, and measure it.

    Args:
        part: ``validation``, ``test``, or ``all`` for every image in ``data``.
        artifact: the artifact from which the bundle was exported. Its split defines the parts, and its Keras model
            is measured on the same images.
        strict: reject data with an image that cannot be read, instead of skipping it.

    Raises:
        ArtifactError: the artifact is incomplete, or the bundle was exported from another one.
        DatasetError: the data do not match the layout, or the part needs a split and no artifact is given.
        RecipeError: no recipe has the bundle's name, so the layout of its data is unknown.
        BundleError, BackendError: the bundle cannot run on this machine.
    """
    spec = device.bundle.manifest.spec
    opened = _opened(device, artifact, data, part, strict=strict)
    dataset = find_recipe(spec.name).source.load(data) if opened is None else opened.dataset
    samples = dataset.samples if opened is None else opened.samples(part)
    with Predictor(device.bundle, device.backend, device.precision, 1) as predictor:
        found = answer_on_device(predictor, samples, part, strict=strict)
        runtime, precision = predictor.runtime, predictor.precision
    evaluation = evaluate_scored(found.scored, spec, part, _subject(device.bundle, runtime, precision))
    evaluation = with_subgroups(evaluation, found.scored, found.samples, dataset.traits, spec)
    document = BundleDocument(
        part=part,
        grouped_by=dataset.grouped_by,
        model=spec.name,
        version=spec.version,
        contract=spec.contract,
        backend=runtime.value,
        precision=precision.value,
        evaluations=(evaluation,),
        shares=tuple(found.shares()),
        sites=by_site(device.bundle.manifest.sites, evaluation, spec),
    )
    if opened is not None:
        document = _beside_keras(document, found, opened, part)
    return BundleMeasurement(document, found, dataset)


def to_json(measurement: BundleMeasurement) -> str:
    """Return the metrics as one JSON document, a :class:`BundleDocument`."""
    return json.dumps(to_dict(measurement.document), indent=2, ensure_ascii=False)


def _opened(
    device: BundleRun, artifact: Artifact | None, data: Path, part: str, *, strict: bool
) -> OpenArtifact | None:
    spec = device.bundle.manifest.spec
    if artifact is None:
        if part == ALL:
            return None
        raise DatasetError(
            f"{device.bundle.where}: found no split, because a bundle contains none; expected one for the {part} part. "
            "Give --artifact DIR, from which it was exported, or measure every image with --part all."
        )
    if artifact.spec() != spec:
        raise ArtifactError(
            f"{artifact.folder}: found the spec of {artifact.spec().name} {artifact.spec().version}, expected the same "
            f"spec as {spec.name} {spec.version} in {device.bundle.where}. Give the artifact that it was exported from."
        )
    return OpenArtifact(artifact, data, strict=strict)


def _subject(bundle: Bundle, runtime: Runtime, precision: Precision) -> str:
    """Return the name of the model file that predicts first, and its runtime."""
    entry = bundle.model(FORMAT[runtime], precision)
    return f"{bundle.where if entry is None else entry.name} on {runtime.value}"


def _beside_keras(document: BundleDocument, found: DeviceOutputs, opened: OpenArtifact, part: str) -> BundleDocument:
    """Add the metrics of the Keras model on the images that the device predicted, and the paired changes."""
    keras = _keras(opened, found.samples, part)
    evaluation = evaluate_scored(keras, opened.spec, part, KERAS)
    evaluation = with_subgroups(evaluation, keras, found.samples, opened.dataset.traits, opened.spec)
    return replace(
        document,
        evaluations=(*document.evaluations, evaluation),
        changes=changes(found.scored, keras, opened.spec),
    )


def _keras(opened: OpenArtifact, samples: tuple[Sample, ...], part: str) -> Scored:
    answers = opened.answer(samples, part)
    return Scored.of_logits(answers.logits, answers.outcome.labels, answers.outcome.groups, opened.spec)
