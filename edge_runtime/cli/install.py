"""The commands ``edge-bundle install``, ``rollback`` and ``remove``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.bundle.bundle import TRUSTED_KEY
from edge_runtime.cli.exit_codes import Command, stops_command
from edge_runtime.cli.output import say
from edge_runtime.cli.recording import audit_option, change_recorded
from edge_runtime.platform.escaped_names import shown

if TYPE_CHECKING:
    from edge_runtime.assurance.audit.events import StoreChanged
    from edge_runtime.bundle.registry.install import Installation

trusted_key_option = click.option(
    "--key",
    "--trusted-key",
    "key",
    metavar="PUBLIC",
    type=click.Path(path_type=Path),
    envvar=TRUSTED_KEY,
    show_envvar=True,
    help="Reject bundles that are not signed by this public key.",
)


@click.command("install", cls=Command)
@click.argument("bundle", metavar="FOLDER|ZIP")
@trusted_key_option
@click.option("--allow-downgrade", is_flag=True, help="Accept a version older than the current one.")
@audit_option
def install(bundle: str, key: Path | None, allow_downgrade: bool, audit: Path | None) -> None:
    """Verify a bundle and install it.

    The installed version becomes the current one of its name. The previous version is kept for rollback. If the
    process is killed, the previous version stays current. An older version than the current one is rejected, because
    a signature does not prove that a version is the newest.
    """
    from edge_runtime.bundle.registry import install

    with stops_command(), change_recorded(audit) as record:
        change = install.install(bundle, trusted_key=key, allow_downgrade=allow_downgrade)
        record(lambda: _event("install", change))
        say(_summary(change))
        if change.outcome is install.InstallOutcome.INSTALLED:
            say(f"Check that this machine computes the same results: edge-bundle selftest {change.name}")


@click.command("rollback", cls=Command)
@click.argument("name", metavar="NAME")
@trusted_key_option
@audit_option
def rollback(name: str, key: Path | None, audit: Path | None) -> None:
    """Return to the previous version of a model.

    A second rollback undoes the first.
    """
    from edge_runtime.bundle.registry import install

    with stops_command(), change_recorded(audit) as record:
        change = install.rollback(name, trusted_key=key)
        record(lambda: _event("rollback", change))
        say(_summary(change))


@click.command("remove", cls=Command)
@click.argument("name", metavar="NAME")
@audit_option
def remove(name: str, audit: Path | None) -> None:
    """Remove all installed versions of a model.

    Damaged versions are removed as well. Models that ship with the package are not removed.
    """
    from edge_runtime.bundle.registry import install

    with stops_command(), change_recorded(audit) as record:
        folder = install.remove(name)
        record(lambda: _removal(name))
        say(f"{shown(folder)}: removed.")


def _event(action: str, change: Installation) -> StoreChanged:
    from edge_runtime.assurance.audit.events import StoreAction, StoreChanged
    from edge_runtime.bundle.bundle import find

    bundle, pointer = find(change.folder).digest, change.pointer
    outcome = change.outcome.value
    return StoreChanged(StoreAction(action), change.name, outcome, pointer.current, bundle, pointer.previous)


def _removal(name: str) -> StoreChanged:
    from edge_runtime.assurance.audit.events import StoreAction, StoreChanged

    return StoreChanged(StoreAction.REMOVE, name, "removed")


def _summary(change: Installation) -> str:
    before = f"; {change.pointer.previous} is kept for rollback" if change.pointer.previous else ""
    return f"{change.name} {change.pointer.current}: {change.outcome.value} in {shown(change.folder)}{before}."
