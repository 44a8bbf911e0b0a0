"""The commands of ``python -m training``; the only place in training that prints or exits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from edge_runtime.errors import EdgeError
from edge_runtime.manifest import Evaluation
from training.artifact import Artifact
from training.datasets.phantoms import PhantomSet
from training.datasets.phantoms import write as write_phantoms
from training.errors import TrainingError
from training.recipes import RECIPES, find_recipe

_FOLDER = click.Path(path_type=Path)


class _Group(click.Group):
    """Turn this project's errors into one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (TrainingError, EdgeError, FileExistsError) as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Group)
def main() -> None:
    """Train published breast-imaging classifiers and measure them on patients never seen."""


@main.command("list")
def list_recipes() -> None:
    """List the recipes."""
    for name, recipe in sorted(RECIPES.items()):
        click.echo(f"{name:36} {recipe.spec.summary}")
        click.echo(f"{'':36} data: {recipe.source.title}; {recipe.source.licence}")


@main.command()
@click.argument("recipe")
@click.option("--data", type=_FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=_FOLDER, required=True, help="New folder for the artifact.")
@click.option("--epochs", type=click.IntRange(min=1), help="Fewer epochs than the recipe's, for a trial.")
@click.option(
    "--weights", metavar="imagenet|PATH", help="Pretrained backbone of a transfer recipe; without it, random weights."
)
def fit(recipe: str, data: Path, out: Path, epochs: int | None, weights: str | None) -> None:
    """Fit RECIPE and write model.keras, spec.json, split.csv, history.csv and metrics.json."""
    chosen = find_recipe(recipe)
    from training.fit import fit as run_fit  # here, so that the other commands start without a framework

    artifact = run_fit(chosen, data, out, epochs=epochs, weights=weights)
    for evaluation in artifact.measured().evaluations:
        click.echo(_table(evaluation))
    click.echo(f"artifact: {artifact.folder}")


@main.command()
@click.argument("artifact", type=_FOLDER)
@click.option("--data", type=_FOLDER, required=True, help="Folder that holds the published layout.")
@click.option(
    "--part",
    type=click.Choice(["validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Which patients; 'all' takes every patient in DATA, for data that the model never saw.",
)
@click.option("--out", type=_FOLDER, help="Folder for metrics.json and report.html with curves and tables.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(artifact: Path, data: Path, part: str, out: Path | None, as_json: bool) -> None:
    """Measure ARTIFACT on held-out patients, beside the baseline of six colour numbers."""
    from training.measure import measure_artifact, to_json

    opened = Artifact(artifact)
    measurement = measure_artifact(opened, data, part)
    if out is not None:
        from training.page import write_page

        write_page(out, opened, measurement, f"python -m training evaluate {artifact} --data {data} --part {part}")
        click.echo(f"report: {out / 'report.html'}", err=True)
    if as_json:
        click.echo(to_json(measurement.evaluations))
        return
    for evaluation in measurement.evaluations:
        click.echo(_table(evaluation))


@main.command()
@click.option("--out", type=_FOLDER, required=True, help="Folder to write the published layout into.")
@click.option("--patients", type=click.IntRange(min=3), default=40, show_default=True)
@click.option("--patches", type=click.IntRange(min=2), default=24, show_default=True, help="Patches a patient.")
@click.option("--seed", type=int, default=0, show_default=True)
def phantoms(out: Path, patients: int, patches: int, seed: int) -> None:
    """Make synthetic H&E patches in the IDC layout; they prove plumbing, not medicine."""
    count = write_phantoms(PhantomSet(patients=patients, patches_per_patient=patches, seed=seed), out)
    click.echo(f"{count} phantoms of {patients} made-up patients in {out}")


@main.command()
@click.argument("artifact", type=_FOLDER)
@click.option("--data", type=_FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--out", type=_FOLDER, required=True, help="The samples.csv to write.")
@click.option("--count", type=click.IntRange(min=16), default=256, show_default=True)
def samples(artifact: Path, data: Path, out: Path, count: int) -> None:
    """Choose training pictures for int8 calibration, and write their names and SHA-256."""
    from training.calibration import write_samples

    written = write_samples(artifact, data, out, count)
    click.echo(f"{written} training pictures named in {out}")


@main.command()
@click.argument("dataset", type=click.Choice(["busi", "idc", "mendeley", "mias"]))
@click.option("--data", type=_FOLDER, required=True, help="Folder that holds the published layout.")
@click.option("--split", type=_FOLDER, help="CSV group,part or name,part; exit status 1 if copies straddle it.")
@click.option("--out", type=_FOLDER, help="Folder for pairs.png, the worst pairs side by side; keep it private.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def audit(dataset: str, data: Path, split: Path | None, out: Path | None, as_json: bool) -> None:
    """Find copies, contradictory labels and leaks in a published DATASET."""
    from training.audit import audit as run_audit
    from training.audit import to_json
    from training.audit_picture import table, worst, write_sheet

    report, pairs = run_audit(dataset, data, split)
    click.echo(to_json(report) if as_json else table(report))
    if out is not None:
        write_sheet(worst(pairs), report.labels, out / "pairs.png")
    if report.leaks:
        sys.exit(1)


def _table(evaluation: Evaluation) -> str:
    head = (
        f"{evaluation.subject} on {evaluation.part}: {evaluation.images} pictures of {evaluation.groups} patients, "
        f"{evaluation.positives} positive; 95 % intervals by bootstrap over patients"
    )
    rows = [
        f"  {f.name:36} {f.value:.3f}" + (f"  [{f.low:.3f}, {f.high:.3f}]" if f.low is not None else "")
        for f in evaluation.figures
    ]
    return "\n".join([head, *rows])
