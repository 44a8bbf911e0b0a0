"""Measure a fitted artifact again, from its files alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy.typing as npt

from edge_runtime.manifest import Evaluation
from edge_runtime.records import to_dict
from edge_runtime.spec import ModelSpec
from training.artifact import Artifact
from training.classwise import Outcome
from training.evaluation import (
    baseline_scores,
    evaluate_baseline,
    evaluate_scores,
    gain_over_baseline,
)
from training.keras_model import load_model, logits_model
from training.recipes import find_recipe
from training.splits import Part, select
from training.tensors import Tensors, load_tensors


@dataclass(frozen=True)
class Measurement:
    """Figures of one part, and the answers that they were computed from."""

    part: str
    evaluations: tuple[Evaluation, ...]
    outcome: Outcome


def measure_artifact(artifact: Artifact, data: Path, part: str) -> Measurement:
    """Evaluate the network, and the colour baseline where training patients are in ``data``.

    Args:
        part: ``validation``, ``test``, or ``all`` for every patient in ``data``.
    """
    spec, split = artifact.spec(), artifact.split()
    dataset = find_recipe(spec.name).source.load(data)
    wanted = dataset.samples if part == "all" else select(dataset.samples, split, Part(part))
    tensors = load_tensors(wanted, spec, label=part)
    logits = logits_model(load_model(artifact.model_path)).predict(tensors.images, verbose=0)
    outcome = Outcome.of(logits, tensors.labels, tensors.groups, spec)
    seen = [sample for sample in dataset.samples if split.get(sample.group) is Part.TRAIN]
    if part == "all" or not seen:
        return Measurement(part, (evaluate_scores(logits, tensors, spec, part),), outcome)
    train = load_tensors(seen, spec, label="train")
    return Measurement(part, compare(logits, train, tensors, spec, part), outcome)


def compare(
    logits: npt.ArrayLike, train: Tensors, held_out: Tensors, spec: ModelSpec, part: str
) -> tuple[Evaluation, Evaluation]:
    """Evaluate the network beside the baseline, with the paired difference among the network's figures."""
    network = evaluate_scores(logits, held_out, spec, part)
    score = baseline_scores(train, held_out, spec)
    gain = gain_over_baseline(logits, score, held_out, spec)
    return replace(network, figures=(*network.figures, gain)), evaluate_baseline(score, held_out, spec, part)


def to_json(evaluations: tuple[Evaluation, ...]) -> str:
    """Return the evaluations as one JSON document."""
    return json.dumps(to_dict(evaluations), indent=2)
