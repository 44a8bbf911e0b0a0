"""``python -m benchmarks table``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
from tqdm import tqdm

from benchmarks import machine, report
from benchmarks.cases.cold_start import cold_start
from benchmarks.cases.folder import folder
from benchmarks.cases.heatmap import heatmap
from benchmarks.cases.one_image import array, path
from benchmarks.cases.serving import serving
from benchmarks.cases.tiles import tiles
from benchmarks.cases.watch import watch
from benchmarks.cli.options import load_networks, on_cores, run_options, settings_of
from benchmarks.networks import Network
from benchmarks.settings import Settings
from benchmarks.turns import Table

_DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "the headline": _DOCS / "explanation" / "performance.md",
    "the tables": _DOCS / "research" / "benchmark-tables.md",
}
"""Name of the markers → the page that has them."""

Case = partial[Table]


@click.command()
@run_options
@click.option("--write", is_flag=True, help="Write the tables into docs.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write a file for pyperf.")
def table(
    models: tuple[str, ...],
    folders: tuple[str, ...],
    rounds: int | None,
    cpu: tuple[int, ...],
    tiny: bool,
    write: bool,
    out: Path | None,
) -> None:
    """Measure this package beside its peers.

    Peers that are not installed are named with the reason. See docs/explanation/performance.md for the method.
    """
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch,
        tqdm(unit="turn", disable=None, leave=False) as bar,
    ):
        settings = settings_of(Path(scratch), folders, rounds, tiny, step=bar.update)
        found = load_networks(models, settings)
        with on_cores(cpu):
            tables = _run(_one_core(found, settings), bar)
            told = machine.lines(load)
        tables += _run(_all_cores(found, settings), bar)
    text = report.markdown(tables, told)
    if write:
        for name, part in zip(PAGES, (report.headline(tables), text), strict=True):
            report.write_between(PAGES[name], name, part)
    else:
        click.echo(f"{report.headline(tables)}\n\n{text}")
    if out is not None:
        from benchmarks import results

        results.write(tables, told, out)


def _run(cases: Sequence[Case], bar: tqdm[NoReturn]) -> list[Table]:
    """Measure one case after the other; the bar names it."""
    tables = []
    for case in cases:
        bar.set_description(case.func.__name__)
        tables.append(case())
    return tables


def _one_core(found: Sequence[Network], settings: Settings) -> list[Case]:
    """Return the cases that use one core; those of one network alone are measured on the first, the default model."""
    first = found[0]
    return [
        *(partial(case, network, settings) for case in (array, path, cold_start) for network in found),
        partial(heatmap, first, settings),
        *([partial(tiles, first, settings)] if first.colour else []),
        partial(watch, settings),
    ]


def _all_cores(found: Sequence[Network], settings: Settings) -> list[Case]:
    """Return the cases that need two cores."""
    whole = [network for network in found if not network.regions]
    return [
        *(partial(folder, network, settings) for network in whole),
        *(partial(serving, network, settings) for network in whole[:1]),
    ]
