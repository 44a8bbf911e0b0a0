"""Detect a spec that does not match its model: label order, colour order, scaling twice or not at all, or size.

A cause is reported only if it was tried: the alternative is significantly better on the labelled images.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import scores_of
from export.converters.isolation import in_own_process
from export.errors import CalibrationError, ExportError
from export.source.alternatives import Alternative, alternatives, joint_alternatives, write_answers
from export.source.calibration_images import FEWEST, PreparedImages, Truth, preprocess_all
from export.source.first_activations import FirstActivations
from export.source.first_layers import FirstLayers
from export.source.source import SourceModel
from export.validation.comparison import does_better
from export.validation.label_order import best_order, in_best_order, in_order
from export.validation.suspicion import LabelledScores, answered, has_skill, not_shown, suspicion

_LOG = logging.getLogger(__name__)

Logits = npt.NDArray[np.float32]

_TRIED, _TRIED_MIB, _MOST_MIB = 512, 64, 256
"""Number of images on which alternatives are tried, and the memory limits of their tensors (one alternative): of the
spec's size, and of the largest size that is tried."""

_SAME = 0.01
"""Log odds of the scores that differ by less are treated as equal."""

_EQUAL, _MOST_CAUSES = 0.01, 3
"""Results that differ by less are treated as equal, and the largest number of equal causes that are named."""

_CLOSE = 0.05
"""Smallest gain for which the best alternative is named although images are too few to show it."""

INSIST = "--insist exports it anyway, with this warning in the card."


def contradict(
    source: SourceModel, held_out: PreparedImages, logits: Logits, network: Path, scratch: Path, insist: bool
) -> PreparedImages:
    """Stop an export if labelled parity images contradict the model or its spec; otherwise warn of what is implausible.

    A training artifact is not checked, because the model was fitted with this spec.

    Args:
        held_out: the parity images; alternatives are tried if they have labels.
        logits: the network's logits for them, float32 N×outputs.
        network: network cut at its logits; what its first layers do is in files beside it.
        scratch: a folder for temporary files.
        insist: warn instead of stopping.

    Returns:
        The parity images, with the warnings in their ``warnings``.

    Raises:
        ExportError: the images contradict the spec; the message gives the likely cause and the remedy.
    """
    if source.training is not None:
        return held_out
    spec, truth = source.spec, held_out.truth
    layers, activations = FirstLayers.read(network.parent), FirstActivations.read(network.parent)
    any_size = layers is not None and layers.any_size
    trial = _Trial(held_out, spec, network, source.model_path, source.output, scratch, any_size)
    fault = "" if truth is None else _label_fault(trial, truth, logits)
    if truth is not None and not fault and has_skill(logits, truth.labels, spec):
        return held_out  # a network that ranks images well is given what it was fitted on
    implausible = [*(found.fault() for found in (layers, activations) if found is not None), _constant(logits, spec)]
    told = [text for text in (fault, *implausible) if text]
    if fault and not insist:
        raise ExportError(f"{source.model_path}: {' Also '.join(told)} {INSIST}")
    for text in told:
        _LOG.warning("%s: %s", source.model_path, text)
    if truth is not None and not fault and (text := not_shown(logits, truth.labels, spec)):
        _LOG.warning("%s: %s", source.model_path, text)
    return replace(held_out, warnings=tuple(told))


@dataclass(frozen=True)
class _Trial:
    """What is needed to try other steps: the labelled images, the network, and a folder for temporary files."""

    images: PreparedImages
    spec: ModelSpec
    network: Path
    model: Path
    output: str | None
    scratch: Path
    any_size: bool


@dataclass(frozen=True)
class _Tried:
    """An alternative that was measured: results to compare, results to report, and the cause as a sentence."""

    compared: LabelledScores
    reported: LabelledScores
    cause: str

    @property
    def quality(self) -> float:
        """Quality of the compared results."""
        return _quality(self.compared)

    def text(self) -> str:
        """Return the cause with the results."""
        right = self.reported.right
        return self.cause.format(right=f"{right.sum()} of {len(right)} (AUROC {self.reported.auroc:.3f})")


def _quality(results: LabelledScores) -> float:
    """Return the mean of recall and AUROC, 0..1."""
    return (results.recall + results.auroc) / 2


def _constant(logits: Logits, spec: ModelSpec) -> str:
    """Return a warning if all images have nearly the same scores; empty if they differ."""
    scores = np.clip(scores_of(logits, spec), 1e-12, 1 - 1e-12)
    if len(logits) > 1 and np.ptp(np.log(scores / (1 - scores)), axis=0).max() < _SAME:
        return f"found the same scores for all {len(logits)} parity images. Compare the spec with the fitting."
    return ""


def _label_fault(trial: _Trial, truth: Truth, logits: Logits) -> str:
    """Return the fault that labelled images show and its likely cause; empty if there is none."""
    found = suspicion(logits, truth.labels, trial.spec)
    if len(np.unique(truth.labels)) < 2:
        return f"{found}. All labelled images have one label, so no cause was tried." if found else ""
    others = alternatives(trial.spec, any_size=trial.any_size)
    rows = np.unique(np.linspace(0, len(logits) - 1, _count(trial.images, others)).round().astype(int))
    labels, own = truth.labels[rows], answered(logits[rows], truth.labels[rows], trial.spec)
    tried = [_with_other_order(logits[rows], labels, trial.spec)]
    tried += _with_other_steps(trial, others, rows, labels)
    better = _better(tried, own, shown=bool(found))
    if found and not better:
        joint = _with_other_steps(trial, joint_alternatives(trial.spec), rows, labels)
        better = _better(joint, own, shown=True)
        tried += joint
    if better:
        right = f"{own.right.sum()} of {len(rows)} labelled parity images right (AUROC {own.auroc:.3f})"
        seen = found or f"found {right}, expected more"
        return f"{seen}. {_causes(better)} Correct the spec."
    return f"{found}. {_no_cause(tried, own)}" if found else ""


def _no_cause(tried: Sequence[_Tried], own: LabelledScores) -> str:
    """Return which causes were tried, and the best one if it may be better by chance alone."""
    best = max(tried, key=lambda each: each.quality)
    what = "Labels in another order, other scaling and another colour order were tried"
    if best.quality - _quality(own) < _CLOSE:
        return f"{what} and do no better. Compare the spec with how the network was fitted."
    return f"{what}; none is shown to be better on {len(own.truth)} images. The best is not shown: {best.text()}"


def _causes(better: Sequence[_Tried]) -> str:
    """Return the causes with the best results; images cannot tell equal ones apart."""
    most = max(each.quality for each in better)
    equal = [each for each in better if each.quality >= most - _EQUAL][:_MOST_CAUSES]
    return " Or: ".join(each.text() for each in equal)


def _better(tried: Sequence[_Tried], own: LabelledScores, *, shown: bool) -> list[_Tried]:
    """Return the alternatives that are better.

    Args:
        shown: whether a fault is shown without them. They then say which of the causes it is, not whether there is one,
            and chance is not divided among them.
    """
    return [each for each in tried if does_better(each.compared, own, tried=1 if shown else len(tried))]


def _count(held_out: PreparedImages, others: Sequence[Alternative]) -> int:
    """Return on how many images alternatives are tried."""
    own = int(held_out.tensors[0].nbytes)
    most = max((4 * each.spec.channels * math.prod(each.spec.size_px) for each in others), default=own)
    fitting = max(FEWEST, min((_TRIED_MIB << 20) // own, (_MOST_MIB << 20) // most))
    return min(len(held_out.tensors), _TRIED, fitting)


def _with_other_order(logits: Logits, labels: npt.NDArray[np.int64], spec: ModelSpec) -> _Tried:
    order = best_order(logits, labels, spec)
    names = ", ".join(spec.labels[label] for label in np.argsort(order))
    cause = f"With the labels in the order {names} it is right on {{right}}: they are probably in the wrong order."
    return _Tried(in_best_order(logits, labels, spec), answered(in_order(logits, order, spec), labels, spec), cause)


def _with_other_steps(
    trial: _Trial, others: Sequence[Alternative], rows: npt.NDArray[np.intp], labels: npt.NDArray[np.int64]
) -> list[_Tried]:
    """Try specs with other steps on some of the images."""
    files = [trial.images.files[row] for row in rows] if trial.images.files else []
    kept: list[Alternative] = []
    paths: list[Path] = []
    for each in others if files else ():
        path = trial.scratch / f"alternative-{len(paths)}.npy"
        try:
            np.save(path, preprocess_all(files, each.spec, role="parity"))
        except CalibrationError:  # the runtime rejects an image with these steps
            continue
        kept.append(each)
        paths.append(path)
    if not kept:
        return []
    out = trial.scratch / "alternatives.npy"
    in_own_process(
        write_answers,
        str(trial.network),
        str(trial.model),
        trial.output,
        trial.spec,
        [str(path) for path in paths],
        str(out),
    )
    for path in paths:
        path.unlink()
    return [
        _Tried(found, found, f"{each.how} it is right on {{right}}: {each.likely}.")
        for each, logits in zip(kept, np.load(out), strict=True)
        if np.isfinite(logits).all()
        for found in [answered(logits, labels, trial.spec)]
    ]
