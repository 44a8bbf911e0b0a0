"""The command ``edge-dicom``: DICOM objects, as a site sends them."""

from __future__ import annotations

import json
import sys

import click

from edge_runtime import __version__
from edge_runtime.bundle.bundle import find_files, shipped
from edge_runtime.bundle.registry.pointers import installed
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.cli.dicom_network import echo, orthanc_plugin, send
from edge_runtime.cli.dicom_receive import receive
from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED, Group, stops_command
from edge_runtime.cli.output import say

_WIDTH = 10


@click.group("edge-dicom", cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-dicom")
def main() -> None:
    """Work with DICOM objects. Needs the extra: pip install "edge-predict[dicom]"."""


@main.command("check")
@click.argument("file", type=click.Path())
@click.option("--model", metavar="NAME|PATH", help="Only this model; by default all installed and shipped ones.")
@click.option("--frame", type=click.IntRange(1), metavar="NUMBER", help="The frame to classify, counted from 1.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(file: str, model: str | None, frame: int | None, as_json: bool) -> None:
    """Tell what would be done with a DICOM file, by which model, and why.

    Nothing of the patient is shown. The status is 0 if a model would classify it, else 1.
    """
    with stops_command():
        from edge_runtime.dicom.check import facts, outcome
        from edge_runtime.dicom.dataset import read_dataset

        dataset = read_dataset(file)
        found = facts(dataset, file)
        told = [outcome(dataset, spec, frame, file) for spec in _specs(model)]
        if as_json:
            models = [
                {"model": each.model, **({"error": each.code} if each.code else {}), "why": each.why} for each in told
            ]
            say(json.dumps({"file": file, **dict(found), "models": models}))
        else:
            for title, words in (("file", file), *found):
                say(f"{title:<{_WIDTH}}{words}")
            for each in told:
                say(f"{each.model}: {'' if each.code is None else f'refused [{each.code}]: '}{each.why}")
        if not any(each.code is None for each in told):
            sys.exit(EXIT_SOME_FAILED)


for _command in (receive, send, echo, orthanc_plugin):
    main.add_command(_command)


def _specs(model: str | None) -> list[ModelSpec]:
    names = [model] if model is not None else sorted({*shipped(), *(each.name for each in installed())})
    return [find_files(name).manifest.spec for name in names]


def run() -> None:
    """Run ``edge-dicom`` as a program."""
    main()


if __name__ == "__main__":
    run()
