"""Which figures are told and why, and where the thresholds come from."""

from __future__ import annotations

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.policy import CaseRule
from export.model_card.markdown import grouped_by, section


def metrics(manifest: Manifest) -> str:
    """Say what is measured and how its uncertainty is."""
    groups = grouped_by(manifest)
    return section(
        "Metrics",
        "Sensitivity (recall) and specificity at the cut-off say what a reader of the answers meets; balanced accuracy "
        "is their mean and does not reward the larger class; AUROC judges the ranking without any cut-off; the "
        "expected calibration error says how far confidences are from how often they are right; *answered* is the "
        "share of pictures that are not referred.",
        f"Intervals are 95 %, by bootstrap over {groups}: whole {groups} are drawn, so that they speak of new ones, "
        "not of new pictures of the same. The interval of the calibration error is the basic one, the others are "
        "percentiles. An interval of width zero says that few pictures are left, not that the value is certain.",
    )


def policy(manifest: Manifest) -> str:
    """Say where scores turn into decisions, and on what basis."""
    chosen, record = manifest.spec.policy, manifest.training
    basis = "" if record is None else f"How these were chosen: {record.policy.rstrip('.')}."
    band = (
        f"A rounded file's score within {manifest.guard_band:g} of a threshold is decided by the float32 file."
        if manifest.guard_band
        else "There is no guard band: every file decides alone."
    )
    divided = "" if chosen.temperature == 1 else f" Logits are divided by a temperature of {chosen.temperature:.4g}."
    return section(
        "Decision policy",
        f"POSITIVE from a score of {chosen.cutoff:g}; REFER when no label reaches a confidence of "
        f"{chosen.confidence_floor:g}.{divided} {band}",
        _case(chosen.case),
        _neighbours(chosen.neighbours),
        basis,
        level=3,
    )


def _neighbours(weight: float | None) -> str:
    if weight is None:
        return ""
    return (
        f"In a slide, the logits of each of the eight tiles that touch a tile count with a weight of {weight:g} beside "
        "its own; the thresholds were chosen, and all figures measured, on patches for themselves."
    )


def _case(rule: CaseRule | None) -> str:
    if rule is None:
        return ""
    return (
        f"A patient is POSITIVE from {rule.count} pictures called POSITIVE with a confidence of {rule.confidence:g} or "
        "more; where fewer are answered with that confidence, the patient is referred."
    )
