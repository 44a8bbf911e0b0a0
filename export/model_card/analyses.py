"""Quantitative analyses: figures on held-out groups, as a whole and by subgroup, against the claim and the baseline."""

from __future__ import annotations

from edge_runtime.bundle.manifest import KERAS, Manifest
from edge_runtime.bundle.metrics import Evaluation
from export.model_card.markdown import BASELINE, cell, evaluation_of, figure_of, grouped_by, section, table
from training.metrics.evaluation import GAIN

_MAIN = (
    *("balanced accuracy", "auroc", "sensitivity", "specificity", "accuracy", "precision", "recall", "f1"),
    *("label accuracy", "mean label recall", "macro F1", "answered", "error among answered", GAIN),
)
_COVERAGE = ("coverage", "accuracy", "precision", "recall")


def analyses(manifest: Manifest) -> list[str]:
    """Return the sections; where nothing was measured, one that says so."""
    if not manifest.evaluations:
        return [section("Quantitative analyses", "How often this model is right was not measured here.")]
    return [
        section("Quantitative analyses"),
        _claims(manifest),
        *[_evaluation(evaluation, grouped_by(manifest)) for evaluation in manifest.evaluations],
        _against_baseline(manifest),
    ]


def _claims(manifest: Manifest) -> str:
    record, test = manifest.training, evaluation_of(manifest, KERAS, "test")
    title = "Published claim, and what holds on patients never seen"
    if record is None or not record.claims or test is None:
        return section(title, "None published, or none measured.", level=3)
    found = [(claim, figure_of(test, claim.name)) for claim in record.claims]
    rows = [(claim.name, f"{claim.value:.3f}", cell(figure)) for claim, figure in found if figure is not None]
    head = ("figure", "published", f"measured here, test {grouped_by(manifest)}")
    return section(title, table(head, rows), record.caveat, level=3)


def _evaluation(evaluation: Evaluation, groups: str) -> str:
    baseline = evaluation.subject == BASELINE
    subject = "Baseline: six colour numbers" if baseline else f"Measured on {evaluation.subject}"
    rows = [(name, cell(figure)) for name in _MAIN if (figure := figure_of(evaluation, name)) is not None]
    if evaluation.calibration is not None:
        rows.append((evaluation.calibration.error.name, cell(evaluation.calibration.error)))
    return section(
        f"{subject}, {evaluation.part} {groups}",
        f"{evaluation.images} pictures of {evaluation.groups} {groups}, {evaluation.positives} positive.",
        table(("figure", "value"), rows),
        table(("answered at confidence ≥", *_COVERAGE), _coverage_rows(evaluation)),
        _subgroups(evaluation, groups),
        _reliability(evaluation),
        level=3,
    )


def _coverage_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    prefix = "coverage at confidence "
    floors = [figure.name.removeprefix(prefix) for figure in evaluation.figures if figure.name.startswith(prefix)]
    return [
        (floor, *(cell(figure_of(evaluation, f"{name} at confidence {floor}")) for name in _COVERAGE))
        for floor in floors
    ]


def _subgroups(evaluation: Evaluation, groups: str) -> str:
    """A figure that needs both sides is missing where a subgroup has one."""
    names = list(dict.fromkeys(figure.name for found in evaluation.subgroups for figure in found.figures))
    rows = []
    for found in evaluation.subgroups:
        figures = {figure.name: figure for figure in found.figures}
        counts = (str(found.images), str(found.groups), str(found.positives))
        rows.append((f"{found.trait}: {found.value}", *counts, *(cell(figures.get(name)) for name in names)))
    return table(("subgroup", "pictures", groups, "positive", *names), rows)


def _reliability(evaluation: Evaluation) -> str:
    """The calibration picture as a table: bins of about equal count, from which the calibration error is computed."""
    if evaluation.calibration is None or not evaluation.calibration.bins:
        return ""
    rows = [
        (f"{row.low:.3f}–{row.high:.3f}", str(row.count), f"{row.confidence:.3f}", f"{row.accuracy:.3f}")
        for row in evaluation.calibration.bins
    ]
    return "How often an answer of that confidence is right:\n\n" + table(
        ("confidence", "pictures", "mean confidence", "share right"), rows
    )


def _against_baseline(manifest: Manifest) -> str:
    network, baseline = evaluation_of(manifest, KERAS, "test"), evaluation_of(manifest, BASELINE, "test")
    ours, theirs = figure_of(network, "balanced accuracy"), figure_of(baseline, "balanced accuracy")
    if ours is None or theirs is None:
        return ""
    gain = figure_of(network, GAIN)
    if gain is not None and gain.low is not None and gain.low > 0:
        verdict = "the network beats it"
    else:
        verdict = "that is no proof that the network learned more than colour"
    paired = f"; paired difference {cell(gain)}" if gain else ""
    return section(
        "What has it learned?",
        "A logistic regression on six colour numbers (mean and standard deviation of R, G, B) reaches a balanced "
        f"accuracy of {theirs.value:.3f} on the same test {grouped_by(manifest)}, the network "
        f"{ours.value:.3f}{paired}: {verdict}.",
        level=3,
    )
