"""``evaluate``: measure an artifact, or a bundle on the device's runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime import Precision, Runtime
from training.artifact import Artifact
from training.cli.evaluate_bundle import evaluate_bundle, is_bundle
from training.cli.options import FOLDER
from training.cli.tables import site_table, table_of

if TYPE_CHECKING:
    from training.evaluation.measure import Measurement


@click.command()
@click.argument("target", metavar="ARTIFACT|BUNDLE")
@click.option("--data", type=FOLDER, required=True, help="Folder that holds the published layout.")
@click.option(
    "--part",
    type=click.Choice(["validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Patients to measure on; 'all' means every patient in the data.",
)
@click.option("--out", type=FOLDER, help="Folder for metrics.json, report.html and slide.png.")
@click.option("--strict", is_flag=True, help="Stop at an image that cannot be read, instead of skipping it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--artifact", type=FOLDER, help="For a bundle: the artifact it was exported from, for its split and a comparison."
)
@click.option(
    "--precision", type=click.Choice([p.value for p in Precision]), help="For a bundle: the file to run first."
)
@click.option("--backend", type=click.Choice([r.value for r in Runtime]), help="For a bundle: the interpreter.")
def evaluate(
    target: str,
    data: Path,
    part: str,
    out: Path | None,
    strict: bool,
    as_json: bool,
    artifact: Path | None,
    precision: str | None,
    backend: str | None,
) -> None:
    """Measure an ARTIFACT or a BUNDLE.

    For an ARTIFACT, the Keras model is measured on held-out patients and compared with a baseline of six colour
    values.

    For a BUNDLE (a name, a folder, a zip or a model file), the files run on the device's runtime, with guard band,
    fallback to float32 and referrals. The parts validation and test need --artifact; --part all does not.
    """
    if is_bundle(target):
        evaluate_bundle(target, data, part, out, strict, as_json, artifact, precision, backend)
        return
    if given := [n for n, v in (("artifact", artifact), ("precision", precision), ("backend", backend)) if v]:
        raise click.UsageError(f"--{given[0]} is for a bundle, but {target} is not a bundle. Remove the option.")
    _evaluate_artifact(Path(target), data, part, out, strict=strict, as_json=as_json)


def _evaluate_artifact(artifact: Path, data: Path, part: str, out: Path | None, *, strict: bool, as_json: bool) -> None:
    from training.evaluation.measure import measure_artifact, to_json

    opened = Artifact(artifact)
    measurement = measure_artifact(opened, data, part, strict=strict)
    if out is not None:
        from training.reporting.page import write_page

        tail = " --strict" if strict else ""
        command = f"python -m training evaluate {artifact} --data {data} --part {part}{tail} --out {out}"
        write_page(out, opened, measurement, command)
        click.echo(f"report: {out / 'report.html'}", err=True)
    click.echo(to_json(measurement) if as_json else _text(measurement))


def _text(measurement: Measurement) -> str:
    from training.evaluation.case_report import rule_text
    from training.metrics.classwise import side_names

    groups = measurement.dataset.grouped_by
    lines = [] if measurement.sites is None else [site_table(measurement.sites)]
    for evaluation in measurement.evaluations:
        lines.append(table_of(evaluation, groups))
    cases = measurement.cases
    if cases is not None and cases.evaluation is not None:
        found = cases.evaluation
        lines += [
            f"patients from patches on {measurement.part}: {found.patients} patients, {found.positives} positive",
            f"  rule: {rule_text(found.rule, side_names(measurement.outcome.spec)[1])}",
            *(f"  {figure.name:36} {figure.text()}" for figure in found.figures),
        ]
    return "\n".join([*lines, *([f"  {cases.basis}"] if cases is not None else [])])
