"""``edge-bundle``: list, describe, verify and test models."""

from __future__ import annotations

import json

import click

from edge_runtime import __version__
from edge_runtime.bundle import Bundle, find, shipped
from edge_runtime.cli import selftest
from edge_runtime.cli.faults import stops_command
from edge_runtime.cli.output import say
from edge_runtime.manifest import Evaluation, Manifest
from edge_runtime.records import canonical_json, to_dict

_EXIT_CODES = """\b
Exit status:
  0    shown, every file is whole, or the self-test passed
  1    the self-test found a step that differs here
  2    the command line cannot be used
  3    the model cannot be trusted: missing, altered, or from a newer release
  4    no interpreter can run the self-test here"""


@click.group(epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-bundle")
def main() -> None:
    """Look at the models that edge-predict runs."""


@main.command("list")
def list_bundles() -> None:
    """List the models that ship with this package."""
    with stops_command():
        for name in shipped():
            spec = find(name).manifest.spec
            say(f"{spec.name} {spec.version}  {spec.summary}")


@main.command()
@click.argument("bundle", metavar="NAME|PATH")
@click.option("--json", "as_json", is_flag=True, help="Print bundle.json as it stands.")
def info(bundle: str, as_json: bool) -> None:
    """Show what a model is, what it was trained on and what was measured."""
    with stops_command():
        manifest = find(bundle).manifest
        say(json.dumps(to_dict(manifest), indent=2) if as_json else _describe(manifest))


@main.command()
@click.argument("bundle", metavar="NAME|PATH")
def verify(bundle: str) -> None:
    """Check every file's SHA-256 and every embedded spec."""
    with stops_command():
        found: Bundle = find(bundle)
        count = found.verify()
        say(f"{found.where}: {count} files are the ones that bundle.json names.")


main.add_command(selftest.command)


def _describe(manifest: Manifest) -> str:
    spec = manifest.spec
    lines = [
        f"{spec.name} {spec.version}: {spec.summary}",
        f"labels       {', '.join(spec.labels)} (positive: {', '.join(spec.positive)}); {spec.head.value}",
        f"policy       cut-off {spec.policy.cutoff:g}, confidence floor {spec.policy.confidence_floor:g}, "
        f"guard band {manifest.guard_band:.4f}",
        f"contract     {manifest.contract}",
        "steps        " + "\n             ".join(canonical_json(step) for step in spec.steps),
        "files        " + "\n             ".join(f"{f.name}  {f.size_bytes:,} bytes" for f in manifest.files),
    ]
    if manifest.training is not None:
        research = "; RESEARCH USE ONLY" if manifest.training.research_only else ""
        lines += [
            f"trained on   {manifest.training.dataset}; {manifest.training.licence}{research}",
            f"split        {manifest.training.split}",
        ]
    lines += [_figures(evaluation) for evaluation in manifest.evaluations]
    return "\n".join(lines)


def _figures(evaluation: Evaluation) -> str:
    shown = [f for f in evaluation.figures if f.name in ("balanced accuracy", "auroc")]
    figures = ", ".join(f"{figure.name} {figure.text()}" for figure in shown)
    return f"measured     {evaluation.subject} on {evaluation.part} ({evaluation.groups} patients): {figures}"


if __name__ == "__main__":
    main()
