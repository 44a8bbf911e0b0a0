"""``--help``, ``--version`` and paths as click has them, for a command that starts at once.

click looks for translations of its own texts, although neither it nor this package has any. The first look-up loads
``locale`` and takes longer than a small network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge_runtime import __version__

if TYPE_CHECKING:
    from pathlib import Path

Command = TypeVar("Command", bound=Callable[..., Any])


class FilePath(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """:class:`click.Path` as :class:`pathlib.Path`, made when the option is given."""

    def __init__(self, *, dir_okay: bool = True) -> None:
        """Accept a path; ``dir_okay``: also that of a folder."""
        self.name, self._dir_okay = "path" if dir_okay else "file", dir_okay

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, checked as click does."""
        from pathlib import Path  # imported here: most commands name an image alone

        return click.Path(dir_okay=self._dir_okay, path_type=Path).convert(value, param, ctx)


def _show_help(context: click.Context, _parameter: click.Parameter, is_given: bool) -> None:
    _show(context, context.get_help, is_given)


def _show(context: click.Context, text: Callable[[], str], is_given: bool) -> None:
    if is_given and not context.resilient_parsing:
        click.echo(text(), color=context.color)
        context.exit()


HELP = click.Option(
    ["-h", "--help"],
    is_flag=True,
    expose_value=False,
    is_eager=True,
    help="Show this message and exit.",
    callback=_show_help,
)


def version_option(program: str) -> Callable[[Command], Command]:
    """Return the decorator that adds ``--version``, which prints "PROGRAM, version NUMBER"."""
    return click.option(
        "--version",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        help="Show the version and exit.",
        callback=lambda context, _, is_given: _show(context, lambda: f"{program}, version {__version__}", is_given),
    )
