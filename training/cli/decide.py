"""``decide``: fit a decision policy on validation patients."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.bundle.policy import DecisionPolicy
from training.artifact import Artifact
from training.cli.options import FOLDER
from training.cli.tables import site_table, table_of

if TYPE_CHECKING:
    from training.evaluation.decide import PolicyReport


@click.command()
@click.argument("artifact", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=FOLDER, required=True, help="New folder for the artifact with the policy.")
@click.option(
    "--sensitivity",
    type=click.FloatRange(0, 1, min_open=True),
    help="Required sensitivity on images, 0 to 1. With --case, it also applies to patients.",
)
@click.option("--youden", is_flag=True, help="Choose the cut-off with the largest sensitivity + specificity.")
@click.option(
    "--max-error",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Fit the confidence floor: the largest error allowed among the answered images of new patients.",
)
@click.option("--case", is_flag=True, help="Fit a rule that decides on a patient from all images.")
@click.option(
    "--familiar",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Fit the out-of-distribution check: the share of a patient's own images that it may refer.",
)
@click.option(
    "--whole",
    is_flag=True,
    help="For region models, with --familiar: check the whole image, not the crop around the region.",
)
@click.option(
    "--never-seen",
    type=FOLDER,
    multiple=True,
    help="Keep the figures of an --out of crossvalidate --leave-out, by site or scanner. May be repeated.",
)
@click.option(
    "--cross-validation",
    type=FOLDER,
    metavar="FOLDER",
    help="Output of crossvalidate for this recipe; adds its figures. For a model without test patients.",
)
@click.option("--strict", is_flag=True, help="Stop at an image that cannot be read, instead of skipping it.")
def decide(
    artifact: Path,
    data: Path,
    out: Path,
    sensitivity: float | None,
    youden: bool,
    max_error: float | None,
    case: bool,
    familiar: float | None,
    whole: bool,
    never_seen: tuple[Path, ...],
    cross_validation: Path | None,
    strict: bool,
) -> None:
    """Fit a decision policy for ARTIFACT.

    Temperature and thresholds are fitted on the validation patients. A new artifact with this policy is written to
    --out and measured. ARTIFACT itself stays unchanged.
    """
    if sensitivity is not None and youden:
        raise click.UsageError("found --sensitivity and --youden, expected one of them. Both choose the cut-off.")
    if whole and familiar is None:
        raise click.UsageError("found --whole alone, expected --familiar as well. Add --familiar, or remove --whole.")
    from training.evaluation.decide import FamiliarityTarget  # here, so that other commands do not load a framework
    from training.evaluation.decide import decide as run
    from training.experiments.cross_validated_figures import cross_validated_figures
    from training.experiments.never_seen import read_never_seen
    from training.policy.policy import PolicyTarget

    target = PolicyTarget(sensitivity, youden, max_error, case=case)
    known = None if familiar is None else FamiliarityTarget(familiar, whole=whole)
    spec = Artifact(artifact).spec() if never_seen else None
    folds = [read_never_seen(folder, spec, target) for folder in never_seen if spec is not None]
    crossed = None if cross_validation is None else partial(cross_validated_figures, cross_validation)
    decided = run(
        Artifact(artifact),
        data,
        out,
        target,
        familiar=known,
        never_seen=folds,
        cross_validation=crossed,
        strict=strict,
    )
    click.echo(_text(decided))
    click.echo(f"artifact: {decided.artifact.folder}", err=True)


def _text(decided: PolicyReport) -> str:
    before, after = decided.calibration
    lines = [_policy(decided.fitted.policy), f"basis: {decided.fitted.basis}"]
    from training.metrics.evaluation import CROSS_VALIDATION  # here, so that other commands load no scikit-learn

    lines += [site_table(decided.sites)] if decided.sites else []
    shown = (decided.part.value, CROSS_VALIDATION)
    lines += [table_of(found) for found in decided.evaluations if found.part in shown and found.subject != "baseline"]
    error = "expected calibration error" if decided.part.value == "test" else "calibration error on validation"
    lines.append(f"  {error:36} {after:.4f}, before {before:.4f}")
    if decided.cases is not None:
        lines.append(
            f"case rule on {decided.part.value}: {decided.cases.patients} patients, {decided.cases.positives} positive"
        )
        lines += [f"  {figure.name:36} {figure.text()}" for figure in decided.cases.figures]
    return "\n".join(lines)


def _policy(policy: DecisionPolicy) -> str:
    rule = policy.case
    case = "none" if rule is None else f"{rule.count} images positive with confidence {rule.confidence:g} or more"
    return (
        f"policy: temperature {policy.temperature:.6g}, cut-off {policy.cutoff:.6g}, "
        f"confidence floor {policy.confidence_floor:g}, case rule {case}"
    )
