"""``edge-bundle install``, ``rollback`` and ``remove``: the bundles of this device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.bundle.bundle import TRUSTED_KEY
from edge_runtime.cli.exit_codes import Command, stops_command
from edge_runtime.cli.output import say
from edge_runtime.platform.escaped_names import shown

if TYPE_CHECKING:
    from edge_runtime.bundle.registry.install import Installation

trusted_key_option = click.option(
    "--key",
    "--trusted-key",
    "key",
    metavar="PUBLIC",
    type=click.Path(path_type=Path),
    envvar=TRUSTED_KEY,
    show_envvar=True,
    help="Refuse what this key did not sign.",
)


@click.command("install", cls=Command)
@click.argument("bundle", metavar="FOLDER|ZIP")
@trusted_key_option
@click.option("--allow-downgrade", is_flag=True, help="Take an older version than the one in use, too.")
def install(bundle: str, key: Path | None, allow_downgrade: bool) -> None:
    """Verify a bundle, copy it onto this device, and make it the current one of its name.

    The version before is kept for rollback. A process that is killed leaves that one current. A version older than the
    one that the name means now is refused: its signature does not say that it is the newest.
    """
    from edge_runtime.bundle.registry import install

    with stops_command():
        change = install.install(bundle, trusted_key=key, allow_downgrade=allow_downgrade)
        say(_told(change))
        if change.outcome is install.InstallOutcome.INSTALLED:
            say(f"Does this machine compute the same? edge-bundle selftest {change.name}")


@click.command("rollback", cls=Command)
@click.argument("name", metavar="NAME")
@trusted_key_option
def rollback(name: str, key: Path | None) -> None:
    """Make the version before the current one current again; a second rollback undoes the first."""
    from edge_runtime.bundle.registry import install

    with stops_command():
        say(_told(install.rollback(name, trusted_key=key)))


@click.command("remove", cls=Command)
@click.argument("name", metavar="NAME")
def remove(name: str) -> None:
    """Remove every installed version of a bundle, also a damaged one. What ships stays."""
    from edge_runtime.bundle.registry import install

    with stops_command():
        say(f"{shown(install.remove(name))}: removed.")


def _told(change: Installation) -> str:
    before = f"; {change.pointer.previous} is kept for rollback" if change.pointer.previous else ""
    return f"{change.name} {change.pointer.current}: {change.outcome.value} in {shown(change.folder)}{before}."
