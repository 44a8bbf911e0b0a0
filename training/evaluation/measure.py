"""Measures a fitted artifact again, from its files only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.bundle.metrics import SiteFigures
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.serialisation.records import ABSENT, to_dict
from training.artifact import Artifact
from training.data.datasets import Dataset, Sample, Traits
from training.data.splits import Part
from training.data.tensors import Tensors, load_tensors
from training.evaluation.artifact_runner import ALL, OpenArtifact
from training.evaluation.case_report import CaseReport, choose_rule, report_cases
from training.metrics.classwise import ClassOutcomes
from training.metrics.evaluation import (
    baseline_scores,
    evaluate_baseline,
    evaluate_scores,
    gain_over_baseline,
)
from training.metrics.scored import Scored
from training.metrics.sites import of_subgroups
from training.metrics.subgroups import with_subgroups


@dataclass(frozen=True)
class Measurement:
    """Metrics on one part, and the predictions from which they were computed.

    Attributes:
        samples: the images measured, in the order of ``outcome``.
        dataset: the data set of the images.
        cases: decisions on patients from all their images; None where the recipe decides single images only.
        sites: figures by site and scanner: the never-seen ones that the artifact keeps, then those of this part; None
            where the data set has neither trait and the artifact keeps none.
    """

    part: str
    evaluations: tuple[Evaluation, ...]
    outcome: ClassOutcomes
    samples: tuple[Sample, ...]
    dataset: Dataset
    cases: CaseReport | None = None
    sites: tuple[SiteFigures, ...] | None = None


@dataclass(frozen=True)
class MeasurementDocument:
    """The document that ``evaluate`` prints as JSON and writes into ``metrics.json``."""

    part: str
    grouped_by: str
    evaluations: tuple[Evaluation, ...]
    cases: CaseReport | None
    sites: tuple[SiteFigures, ...] | None = field(default=None, metadata=ABSENT)


def measure_artifact(artifact: Artifact, data: Path, part: str, *, strict: bool = False) -> Measurement:
    """Evaluate the network, and the colour baseline where training patients are in ``data``.

    Args:
        part: ``validation``, ``test``, or ``all`` for every patient in ``data``.
        strict: reject data with an image that cannot be read, instead of skipping it.

    Raises:
        ArtifactError: the artifact is incomplete.
        DatasetError: the data do not match the layout, or contain patients that are not in the split.
    """
    opened = OpenArtifact(artifact, data, strict=strict)
    found = opened.answer(opened.samples(part), part)
    seen = () if part == ALL else opened.present(Part.TRAIN)
    train = load_tensors(seen, opened.spec, label="train", strict=strict) if seen else None
    evaluations = compare(found.logits, train, found.tensors, opened.spec, part, opened.dataset.traits)
    cases = _cases(opened, found.outcome, part) if opened.recipe.cases else None
    sites = by_site(artifact.measured().sites, evaluations[0], opened.spec)
    return Measurement(part, evaluations, found.outcome, found.tensors.samples, opened.dataset, cases, sites)


def by_site(
    kept: tuple[SiteFigures, ...] | None, evaluation: Evaluation, spec: ModelSpec
) -> tuple[SiteFigures, ...] | None:
    """Return the never-seen figures of ``kept``, then the subgroups by site and scanner; None if there are none."""
    never_seen = tuple(found for found in kept or () if found.never_seen)
    return (*never_seen, *of_subgroups(evaluation.subgroups, spec.policy.cutoff)) or None


def _cases(opened: OpenArtifact, outcome: ClassOutcomes, part: str) -> CaseReport:
    return report_cases(outcome, choose_rule(opened, outcome if part == Part.VALIDATION.value else None), part)


def compare(
    logits: npt.ArrayLike,
    train: Tensors | None,
    held_out: Tensors,
    spec: ModelSpec,
    part: str,
    traits: Mapping[str, Traits],
) -> tuple[Evaluation, ...]:
    """Evaluate the network, and a baseline fitted on ``train``; without ``train`` only the network.

    Args:
        traits: name of an image → its traits from the data set; the network is measured on each subgroup.
    """
    if train is None:
        found: tuple[Evaluation, ...] = (evaluate_scores(logits, held_out, spec, part),)
    else:
        found = beside(baseline_scores(train, held_out, spec), logits, held_out, spec, part)
    scored = Scored.of_logits(logits, held_out.labels, held_out.groups, spec)
    return with_subgroups(found[0], scored, held_out.samples, traits, spec), *found[1:]


def beside(
    baseline: npt.NDArray[np.float64], logits: npt.ArrayLike, held_out: Tensors, spec: ModelSpec, part: str
) -> tuple[Evaluation, Evaluation]:
    """Evaluate the network and the baseline (scores 0..1); the network's figures include its paired gain."""
    network = evaluate_scores(logits, held_out, spec, part)
    gain = gain_over_baseline(logits, baseline, held_out, spec)
    return replace(network, figures=(*network.figures, gain)), evaluate_baseline(baseline, held_out, spec, part)


def to_json(measurement: Measurement) -> str:
    """Return the metrics as one JSON document, a :class:`MeasurementDocument`."""
    grouped_by = measurement.dataset.grouped_by
    document = MeasurementDocument(
        measurement.part, grouped_by, measurement.evaluations, measurement.cases, measurement.sites
    )
    return json.dumps(to_dict(document), indent=2, ensure_ascii=False)
