"""``python -m export matrix``: export several artifacts in all formats and print one table."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.serialisation.records import to_dict
from export.errors import ExportError
from training.cli.options import FOLDER
from training.versions import versions

if TYPE_CHECKING:
    from export.matrix import MatrixCell

_PACKAGES = ("tensorflow", "keras", "tf2onnx", "ai-edge-litert", "onnxruntime", "numpy")
_COLUMNS = (
    *("network", "file", "interpreter", "size", "× smaller", "× as fast", "images", "mean \\|Δ logit\\|", "max"),
    *("flips", "after the band", "rerun", "Δ AUROC", "quantisation, or remark"),
)


@click.command()
@click.argument("pairs", nargs=-1, required=True, metavar="ARTIFACT=DATA...")
@click.option("--out", type=FOLDER, required=True, help="Folder for the bundles. Existing bundles are kept.")
@click.option(
    "--tflite-python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Python interpreter of an environment with this package's wheel and tflite-runtime.",
)
@click.option("--rounds", type=click.IntRange(0), default=10, show_default=True, help="Timing rounds; 0 skips timing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per row.")
def matrix(pairs: tuple[str, ...], out: Path, tflite_python: Path | None, rounds: int, as_json: bool) -> None:
    """Export several artifacts and compare them.

    Each ARTIFACT, fitted on the data set in DATA, is exported in all formats. One table compares the files.
    """
    from export.matrix import MatrixOptions, RefusedArtifact, fill  # here, so that --help starts without the converters

    refused = 0
    if not as_json:
        click.echo(f"{_line(_COLUMNS)}\n{_line(['---'] * len(_COLUMNS))}")
    for found in fill([_pair(pair) for pair in pairs], MatrixOptions(out, tflite_python, rounds)):
        if isinstance(found, RefusedArtifact):
            refused += 1
            click.echo(f"error: {found.network}: {found.reason}", err=True)
            continue
        for cell in found:
            click.echo(json.dumps(to_dict(cell)) if as_json else _row(cell))
    if not as_json:
        click.echo(f"\n{_measured_on(rounds)}")
    if refused:
        click.echo(f"{refused} of {len(pairs)} artifacts were not exported.", err=True)
        sys.exit(1)


def _measured_on(rounds: int) -> str:
    """Return one line on the machine, the package versions and the timing."""
    from export.benchmark.report import this_machine

    machine = this_machine(os.getloadavg()[0])
    times = f"; times: {rounds} rounds in turns, one thread, load {machine.load[1]:.1f} at the end" if rounds else ""
    packages = ", ".join(f"{name} {version}" for name, version in versions(_PACKAGES).items())
    return f"{machine.architecture}, {machine.simd}, {machine.usable_cores} cores; {packages}{times}."


def _pair(text: str) -> tuple[Path, Path]:
    artifact, sign, data = text.partition("=")
    if not (artifact and sign and data):
        raise ExportError(f"{text}: found no ARTIFACT=DATA, expected for example runs/idc-patch=data/idc.")
    return Path(artifact), Path(data)


def _row(cell: MatrixCell) -> str:
    values = (
        cell.network,
        cell.file,
        cell.runtime,
        f"{cell.size_bytes:,}",
        f"{cell.smaller:.2f}",
        _or_dash(cell.faster, ".2f"),
        str(cell.images),
        *(_or_dash(value, ".3g") for value in (cell.logit_mean, cell.logit_max)),
        *(_or_dash(value, "d") for value in (cell.flips, cell.flips_guarded, cell.reruns)),
        _or_dash(cell.auroc_change, "+.4f"),
        cell.how or cell.remark.replace("|", "\\|").replace("\n", " ") or "–",
    )
    return _line(values)


def _line(values: Iterable[str]) -> str:
    return f"| {' | '.join(values)} |"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
