"""The command ``edge-bundle``: list, describe, verify, sign, install and test models."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_runtime import __version__
from edge_runtime.bundle.bundle import SIGNATURE, Bundle, find, key_in_force
from edge_runtime.bundle.quantisation import without_int8
from edge_runtime.bundle.signing.signatures import read_signature, signer_name
from edge_runtime.cli import calibrate_site, selftest, site_policy
from edge_runtime.cli.audit import audit
from edge_runtime.cli.describe import describe, rows, site_state
from edge_runtime.cli.exit_codes import Group, stops_command
from edge_runtime.cli.install import install, remove, rollback, trusted_key_option
from edge_runtime.cli.keys import key, sign
from edge_runtime.cli.output import say
from edge_runtime.errors import BundleError
from edge_runtime.platform.escaped_names import shown
from edge_runtime.serialisation.records import to_dict

_EXIT_CODES = """\b
Exit status:
  0    the command succeeded; every checked file is valid
  1    the self-test failed: a result differs on this machine
  2    the command line or a key file is invalid
  3    the model is missing, altered, from a newer release, or
       not signed by the trusted key; or the installed models cannot be
       read or changed
  4    no interpreter can run the self-test here
  5    stdout is closed, or its target or the audit log is full or gone"""


@click.group(cls=Group, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-bundle")
def main() -> None:
    """Manage the models that edge-predict runs."""


@main.command("list")
def list_bundles() -> None:
    """List installed and shipped models.

    The state in brackets shows which version a name refers to.
    """
    with stops_command():
        fault: BundleError | None = None
        for row in rows():
            try:
                spec = find(row.folder).manifest.spec
                say(f"{spec.name} {spec.version}  {spec.summary}  ({row.state}{site_state(row)})")
            except BundleError as error:
                say(f"{shown(row.name)} {row.version or '?'}  CANNOT BE USED [{error.code}]  ({row.state})")
                fault = fault or error
        if fault is not None:
            raise fault


@main.command()
@click.argument("bundle", metavar="NAME|PATH")
@click.option("--json", "as_json", is_flag=True, help="Print bundle.json.")
def info(bundle: str, as_json: bool) -> None:
    """Show a model's data, policy and figures."""
    with stops_command():
        found = find(bundle)
        say(json.dumps(to_dict(found.manifest), indent=2) if as_json else describe(found))


@main.command()
@click.argument("bundle", metavar="NAME|PATH")
@trusted_key_option
def verify(bundle: str, key: Path | None) -> None:
    """Check a bundle's files and signature.

    The SHA-256 of every file and the spec in every model file must match bundle.json. The signature is checked only
    if a public key is given.
    """
    with stops_command():
        key = key_in_force(key)
        found: Bundle = find(bundle, trusted_key=key)
        count = found.verify()
        say(f"{shown(found.where)}: {count} files are the ones that bundle.json names.")
        for row in found.manifest.quantised or ():
            say(f"{row.file}: {row.text()}.")
        for why in without_int8(found.manifest.attempts).values():
            say(f"{why}.")
        if key is not None:
            signer = signer_name(read_signature(found.read_file, found.where), found.where)
            say(f"bundle.json is what key {signer[:16]} signed.")
        elif SIGNATURE in found.names:
            say(f"{SIGNATURE} was not checked: name the public key with --key.")


_COMMANDS = (install, rollback, remove, key, sign, selftest.command, calibrate_site.command, site_policy.group, audit)
for command in _COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main()
