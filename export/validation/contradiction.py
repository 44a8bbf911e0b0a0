"""Detect a spec that does not match its model: label order, colour order, or scaling applied twice or not at all.

A cause is reported only if it was tried: the alternative is significantly better on the labelled images.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.decision.scores import scores_of
from export.converters.isolation import in_own_process
from export.errors import CalibrationError, ExportError
from export.source import first_layers
from export.source.alternatives import Alternative, alternatives, write_answers
from export.source.calibration_images import FEWEST, PreparedImages, preprocess_all
from export.source.first_layers import FirstLayers
from export.source.source import SourceModel
from export.validation.suspicion import LabelledScores, answered, best_order, does_better, remark, suspicion

_LOG = logging.getLogger(__name__)

Logits = npt.NDArray[np.float32]

_TRIED, _TRIED_MIB = 128, 64
"""Number of images on which alternatives are tried, and the memory limit of their tensors (one alternative)."""

_SAME = 1e-6
"""Scores that differ by less are treated as equal."""

INSIST = "--insist exports it anyway, with this warning in the card."


def contradict(
    source: SourceModel, held_out: PreparedImages, logits: Logits, network: Path, scratch: Path, insist: bool
) -> PreparedImages:
    """Stop an export if the parity images contradict the model or its spec.

    A training artifact is not checked, because the model was fitted with this spec.

    Args:
        held_out: the parity images; alternatives are tried if they have labels.
        logits: the network's logits for them, float32 N×outputs.
        network: network cut at its logits; the result of :mod:`export.source.first_layers` is beside it.
        scratch: a folder for temporary files.
        insist: log a warning instead of an error, and add it to ``source`` of the result.

    Returns:
        The parity images, with the warning in their ``source`` if there is one.

    Raises:
        ExportError: the images contradict the spec; the message gives the likely cause and the remedy.
    """
    if source.training is not None:
        return held_out
    findings = [FirstLayers.read(path).fault()] if (path := network.parent / first_layers.FILE).is_file() else []
    findings.append(_label_fault(held_out, logits, source.spec, network, scratch))
    faults = " Also ".join(text for text in findings if text)
    if faults and not insist:
        raise ExportError(f"{source.model_path}: {faults} {INSIST}")
    faults = faults or _remark(held_out, logits, source.spec)
    if not faults:
        return held_out
    _LOG.warning("%s: %s", source.model_path, faults)
    return replace(held_out, source=f"{held_out.source}; WARNING: {faults.rstrip('.')}")


def _remark(held_out: PreparedImages, logits: Logits, spec: ModelSpec) -> str:
    """Return a warning that does not stop the export; empty if there is none."""
    if len(logits) > 1 and np.ptp(scores_of(logits, spec), axis=0).max() < _SAME:
        return f"found the same scores for all {len(logits)} parity images. Compare the spec with the fitting."
    return "" if held_out.truth is None else remark(logits, held_out.truth.labels, spec)


def _label_fault(held_out: PreparedImages, logits: Logits, spec: ModelSpec, network: Path, scratch: Path) -> str:
    """Return the fault that labelled images show and its likely cause; empty if there is none."""
    if held_out.truth is None or len(np.unique(held_out.truth.labels)) < 2:
        return ""
    labels = held_out.truth.labels
    found = suspicion(logits, labels, spec)
    rows = np.unique(np.linspace(0, len(labels) - 1, _count(held_out)).round().astype(int))
    own = answered(logits[rows], labels[rows], spec)
    tried = [
        _with_other_order(logits[rows], labels[rows], spec),
        *_with_other_steps(held_out, rows, spec, network, scratch),
    ]
    better = [(other, cause) for other, cause in tried if does_better(other, own, suspicious=bool(found))]
    counted = f"{own.right.sum()} of {len(rows)}"
    if better:
        best, cause = max(better, key=lambda each: each[0].recall)  # the first of equals
        seen = found or f"found {counted} labelled parity images right, expected more"
        return f"{seen}. {cause.format(right=f'{best.right.sum()} of {len(rows)}')} Correct the spec."
    if found:
        return (
            f"{found}. Labels in another order, other scaling and another colour order were tried on {len(rows)} of "
            "them and do no better. Compare the spec with how the network was fitted."
        )
    return ""


def _count(held_out: PreparedImages) -> int:
    each = int(held_out.tensors[0].nbytes)
    return min(len(held_out.tensors), _TRIED, max(FEWEST, (_TRIED_MIB << 20) // each))


def _with_other_order(logits: Logits, labels: npt.NDArray[np.int64], spec: ModelSpec) -> tuple[LabelledScores, str]:
    order = best_order(logits, labels, spec)
    names = ", ".join(spec.labels[label] for label in np.argsort(order))
    return (
        answered(logits, labels, spec, order),
        f"With the labels in the order {names} it is right on {{right}}: they are probably in the wrong order.",
    )


def _with_other_steps(
    held_out: PreparedImages, rows: npt.NDArray[np.intp], spec: ModelSpec, network: Path, scratch: Path
) -> list[tuple[LabelledScores, str]]:
    """Try specs with other steps on some of the images."""
    if not held_out.files or held_out.truth is None:
        return []
    files, labels = [held_out.files[row] for row in rows], held_out.truth.labels[rows]
    kept: list[Alternative] = []
    paths: list[Path] = []
    for each in alternatives(spec):
        path = scratch / f"alternative-{len(paths)}.npy"
        try:
            np.save(path, preprocess_all(files, each.spec, role="parity"))
        except CalibrationError:  # the runtime rejects an image with these steps
            continue
        kept.append(each)
        paths.append(path)
    if not kept:
        return []
    out = scratch / "alternatives.npy"
    in_own_process(write_answers, str(network), [str(path) for path in paths], str(out))
    for path in paths:
        path.unlink()
    return [
        (answered(logits, labels, spec), f"{each.how} it is right on {{right}}: {each.likely}.")
        for each, logits in zip(kept, np.load(out), strict=True)
        if np.isfinite(logits).all()
    ]
