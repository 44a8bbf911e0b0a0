"""Options of the commands that answer a site's labelled cases: ``accept`` and ``calibrate-site``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edge_runtime.assurance.protocol import Counting
from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL, MODEL_VARIABLE
from edge_runtime.inference.backends.base import Runtime

Command = TypeVar("Command", bound=Callable[..., Any])
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
_COUNTING = click.Choice([counting.value for counting in Counting])
_OPTIONS = (
    click.option(
        "--referred", type=_COUNTING, default="wrong", show_default=True, help="How a referred case is counted."
    ),
    click.option("--failed", type=_COUNTING, default="wrong", show_default=True, help="How a failed case is counted."),
    click.option("--model", envvar=MODEL_VARIABLE, show_envvar=True, show_default=DEFAULT_MODEL, metavar="NAME|PATH"),
    click.option(
        "--backend",
        type=click.Choice([runtime.value for runtime in Runtime]),
        default=Runtime.AUTO.value,
        show_default=True,
        help="The interpreter that runs the model.",
    ),
    click.option(
        "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Images answered in parallel."
    ),
)


def cases_options(command: Command) -> Command:
    """Add how cases are counted, which model answers, on which interpreter, and how many images at a time."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
