"""``python -m benchmarks check``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from tqdm import tqdm

from benchmarks.cases.revisions import Change, Compared, Contest, compare, contests
from benchmarks.cli.options import load_networks, on_cores, run_options, settings_of
from benchmarks.contestant import NoFiguresError
from benchmarks.report import ratio_text
from benchmarks.revisions import Revision, beside
from benchmarks.settings import Settings

SLOWER = 1
"""Exit status if something is slower."""


@click.command()
@click.argument("commit")
@run_options
def check(
    commit: str, models: tuple[str, ...], folders: tuple[str, ...], rounds: int | None, cpu: tuple[int, ...], tiny: bool
) -> None:
    """Compare this checkout with COMMIT: a branch, a tag or a hash, for example main.

    Both take turns in one run beside the same hand-written loop. A case has moved if the whole 95 % interval of its
    ratio lies beyond 1 and beyond that of COMMIT against itself. The status is 1 if a case is slower.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch, on_cores(cpu):
        settings = settings_of(Path(scratch), folders, rounds, tiny)
        wanted = [each for network in load_networks(models, settings) for each in contests(network, settings)]
        with beside(commit, settings.scratch) as (base, this):
            click.echo(f"{'':20} {'':14} {base.name} | {this.name} | moved | {base.name} again")
            found = _compared(wanted, base, this, settings)
    moved = [each for each in found if each.change is not Change.NONE]
    click.echo(f"{len(moved)} of {len(found)} cases moved beyond their intervals")
    if any(each.change is Change.SLOWER for each in found):
        raise SystemExit(SLOWER)


def _compared(wanted: Sequence[Contest], base: Revision, this: Revision, settings: Settings) -> list[Compared]:
    found = []
    with tqdm(wanted, unit="case", disable=None, leave=False) as bar:
        for contest in bar:
            try:
                found.append(compare(contest, base, this, settings))
            except NoFiguresError as reason:
                bar.write(f"{contest.network:20} {contest.case:14} not compared: {reason}")
                continue
            bar.write(_line(found[-1]))
    return found


def _line(each: Compared) -> str:
    ratios = " | ".join(ratio_text(ratio) for ratio in (each.before, each.after, each.moved, each.again))
    return f"{each.network:20} {each.case:14} {ratios}  {each.change.value}"
