"""Options that several commands share, and the run that they describe."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks import networks
from benchmarks.networks import Network
from benchmarks.settings import TINY, Settings


def run_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a run."""
    for option in reversed(
        (
            click.option("--model", "models", multiple=True, help="A bundle that ships; all of them by default."),
            click.option(
                "--images", "folders", multiple=True, metavar="MODEL=FOLDER", help="Published images of a model."
            ),
            click.option("--rounds", type=click.IntRange(1), help="Turns of each contestant."),
            click.option(
                "--cpu", type=click.IntRange(0), multiple=True, help="Run on these cores alone, all contestants."
            ),
            click.option("--tiny", is_flag=True, help="Run everything once, on tiny input: a test, not a measurement."),
        )
    ):
        function = option(function)
    return function


def settings_of(scratch: Path, folders: Sequence[str], rounds: int | None, tiny: bool, **more: Any) -> Settings:
    """Return the settings that the options describe."""
    chosen: dict[str, Any] = {**more, **(TINY if tiny else {})}
    if rounds is not None:
        chosen["rounds"] = rounds
    return Settings(scratch, folders=_folders(folders), **chosen)


def load_networks(models: Sequence[str], settings: Settings) -> list[Network]:
    """Return the chosen networks, the default model first."""
    return [
        networks.load(name, settings.folders.get(name), settings.scratch, settings.images)
        for name in networks.names(models)
    ]


def _folders(given: Sequence[str]) -> Mapping[str, Path]:
    found = {}
    for pair in given:
        name, _, folder = pair.partition("=")
        if name not in networks.names() or not Path(folder).is_dir():
            raise click.BadParameter(f"found {pair!r}, expected MODEL=FOLDER with one of {', '.join(networks.names())}")
        found[name] = Path(folder)
    return found


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Run this process, and those that it starts meanwhile, on these cores alone; on all of them if none is named."""
    before = os.sched_getaffinity(0)
    if cores and not set(cores) <= before:
        raise click.BadParameter(f"found core {max(set(cores) - before)}, expected some of {sorted(before)}")
    os.sched_setaffinity(0, set(cores) or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
