"""The model card, written from the manifest alone: no figure in it is typed by hand.

Sections after Mitchell et al. 2019, Model Cards for Model Reporting (FAT* 2019).
"""

from __future__ import annotations

from edge_runtime.manifest import KERAS, Evaluation, Figure, Labelled, Manifest, TrainingRecord
from edge_runtime.records import canonical_json
from training.evaluation.evaluation import GAIN

_MAIN = ("balanced accuracy", "auroc", "accuracy", "precision", "recall", "specificity", "f1")
_POLICY = ("answered", "error among answered")
_ELSEWHERE = (
    "## Origin\n\nThis model was made elsewhere. What it was fitted on, its licence, and how often it is right are its "
    "maker's to state: nothing of that was measured here. Measured was only whether the files answer as the model does."
)


def model_card(manifest: Manifest) -> str:
    """Return the card as Markdown."""
    spec = manifest.spec
    sections = [
        f"# {spec.name} {spec.version}",
        spec.summary,
        "**Decision support for trained people. Not a medical device; not for diagnosis.**",
        _intended(manifest),
        *([_data(manifest.training), _claims(manifest)] if manifest.training else [_ELSEWHERE]),
        *[_evaluation(evaluation) for evaluation in manifest.evaluations],
        *([_against_baseline(manifest)] if _baseline(manifest) else []),
        _parity(manifest),
        *([_labelled(manifest.labelled)] if manifest.labelled else []),
        _limits(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _intended(manifest: Manifest) -> str:
    spec = manifest.spec
    steps = "\n".join(f"{i}. `{canonical_json(step)}`" for i, step in enumerate(spec.steps, start=1))
    return (
        f"## Intended use\n\nLabels: {', '.join(spec.labels)}; positive: {', '.join(spec.positive)}. "
        f"POSITIVE from a score of {spec.policy.cutoff:g}; REFER when no label reaches a confidence of "
        f"{spec.policy.confidence_floor:g}. Pictures with a side under {spec.min_side_px} px are refused.\n\n"
        f"Preprocessing contract `{manifest.contract}`:\n\n{steps}"
    )


def _data(record: TrainingRecord) -> str:
    research = "\n\n**Research use only: the data set's terms bind this model too.**" if record.research_only else ""
    rows = "\n".join(f"| {part} | {record.groups.get(part, '')} | {images} |" for part, images in record.images.items())
    return (
        f"## Data\n\n{record.dataset}. {record.citation}. Licence: {record.licence}.{research}\n\n"
        f"Split {record.split}. Fitted for {record.epochs} epochs.\n\n"
        f"| part | patients | pictures |\n|---|---|---|\n{rows}"
    )


def _claims(manifest: Manifest) -> str:
    record, test = manifest.training, _of(manifest, KERAS, "test")
    if record is None or not record.claims or test is None:
        return "## Published claim\n\nNone."
    measured = {figure.name: figure for figure in test.figures}
    rows = "\n".join(
        f"| {claim.name} | {claim.value:.3f} | {_interval(measured[claim.name])} |"
        for claim in record.claims
        if claim.name in measured
    )
    return (
        "## Published claim, and what holds on patients never seen\n\n"
        f"| figure | published | measured here, test patients |\n|---|---|---|\n{rows}\n\n{record.caveat}"
    )


def _evaluation(evaluation: Evaluation) -> str:
    figures = {figure.name: figure for figure in evaluation.figures}
    rows = [f"| {name} | {_interval(figures[name])} |" for name in (*_MAIN, *_POLICY) if name in figures]
    subject = "Baseline: six colour numbers" if evaluation.subject == "baseline" else "Measured"
    text = (
        f"## {subject}, {evaluation.part} patients\n\n{evaluation.images} pictures of {evaluation.groups} patients, "
        f"{evaluation.positives} positive; 95 % intervals by bootstrap over patients.\n\n"
        "| figure | value |\n|---|---|\n" + "\n".join(rows)
    )
    coverage = _coverage_rows(figures)
    if not coverage:
        return text
    return (
        f"{text}\n\n| answered at confidence ≥ | coverage | accuracy | precision | recall |\n|---|---|---|---|---|\n"
        + "\n".join(coverage)
    )


def _coverage_rows(figures: dict[str, Figure]) -> list[str]:
    floors = [name.rsplit(" ", 1)[1] for name in figures if name.startswith("coverage at confidence")]
    columns = ("coverage", "accuracy", "precision", "recall")
    return [
        f"| {floor} | " + " | ".join(_interval(figures.get(f"{c} at confidence {floor}")) for c in columns) + " |"
        for floor in floors
    ]


def _against_baseline(manifest: Manifest) -> str:
    network, baseline = _of(manifest, KERAS, "test"), _baseline(manifest)
    if network is None or baseline is None:
        return ""
    ours, theirs = network.figure("balanced accuracy"), baseline.figure("balanced accuracy")
    gain = next((f for f in network.figures if f.name == GAIN), None)
    if gain is not None and gain.low is not None and gain.low > 0:
        verdict = "the network beats it"
    else:
        verdict = "that is no proof that the network learned more than colour"
    paired = f"; paired difference {_interval(gain)}" if gain else ""
    return (
        "## What has it learned?\n\nA logistic regression on six colour numbers (mean and standard deviation of "
        f"R, G, B) reaches a balanced accuracy of {theirs.value:.3f} on the same test patients, the network "
        f"{ours.value:.3f}{paired}: {verdict}."
    )


def _parity(manifest: Manifest) -> str:
    rows = "\n".join(
        f"| {p.file} | {p.runtime} | {p.logit_max:g} | {p.logit_mean:g} | {p.score_max:g} | {p.score_mean:g} "
        f"| {p.flips} | {p.flips_guarded} | {p.reruns} |"
        for p in manifest.parity
    )
    images = manifest.parity[0].images if manifest.parity else 0
    return (
        f"## Exported files against the Keras model\n\nOn {manifest.parity_source}. A score within "
        f"{manifest.guard_band:g} of a threshold is decided by the float32 file; of all others int8 decides "
        f"{_bound(manifest.guard_band_exceptions)} otherwise. Counts are of {images} pictures.\n\n"
        "| file | runtime | max \\|Δ logit\\| | mean | max \\|Δ score\\| | mean | flips | after guard band | reruns |\n"
        f"|---|---|---|---|---|---|---|---|---|\n{rows}"
    )


def _bound(exceptions: float | None) -> str:
    if exceptions is None:
        return "an unknown share"
    return f"at most {exceptions:.2%} (95 % bound for pictures drawn independently, Wilks 1941)"


def _labelled(rows: tuple[Labelled, ...]) -> str:
    """The same pictures answered by each file: what the rounding costs, in ranking, calibration and coverage."""
    floors = [row.confidence for row in rows[0].coverage]
    head = "".join(f" coverage at {floor:g} | accuracy |" for floor in floors)
    lines = "\n".join(
        f"| {row.subject} | {_number(row.auroc)} | {row.calibration_error:.4f} |"
        + "".join(f" {found.coverage:.3f} | {_number(found.accuracy)} |" for found in row.coverage)
        for row in rows
    )
    return (
        f"The same pictures, {rows[0].images} of {rows[0].groups} groups, by their labels, before the guard band:\n\n"
        f"| file | AUROC | calibration error |{head}\n|{'---|' * (3 + 2 * len(floors))}\n{lines}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _limits(manifest: Manifest) -> str:
    return (
        "## What it cannot do\n\nIt judges one picture of the kind it was trained on and nothing else: other stains, "
        "scanners, magnifications and organs were never measured, and it does not notice them by itself. "
        f"{'The data hold no age, ethnicity or scanner, so no' if manifest.training else 'No'} figure by subgroup "
        f"exists. The figures above are of {manifest.spec.name} {manifest.spec.version} alone."
    )


def _of(manifest: Manifest, subject: str, part: str) -> Evaluation | None:
    found = [e for e in manifest.evaluations if (e.subject, e.part) == (subject, part)]
    return found[0] if found else None


def _baseline(manifest: Manifest) -> Evaluation | None:
    return _of(manifest, "baseline", "test")


def _interval(figure: Figure | None) -> str:
    return "–" if figure is None else figure.text()
