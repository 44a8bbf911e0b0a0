"""The commands ``edge-bundle key`` and ``edge-bundle sign``, for makers of bundles."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.cli.exit_codes import Command, stops_command
from edge_runtime.cli.output import say
from edge_runtime.platform.escaped_names import shown


@click.command("key", cls=Command)
@click.argument("out", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path))
def key(out: Path) -> None:
    """Create a key pair for signing bundles.

    OUT is the private key: keep it secret. OUT.pub is the public key: copy it to devices. Existing files are never
    overwritten. OUT is not encrypted; its file mode allows only its owner to read it.
    """
    from edge_runtime.bundle.signing.keys import write_key_pair

    with stops_command():
        public = write_key_pair(out)
        say(f"{shown(out)}: private key. Keep it secret: off devices and out of repositories.")
        say(f"{shown(out)}.pub: public key {public.fingerprint[:16]}; trust it with --trusted-key or EDGE_TRUSTED_KEY.")


@click.command("sign", cls=Command)
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--key", required=True, metavar="PRIVATE", type=click.Path(path_type=Path), help="The private key.")
def sign(folder: Path, key: Path) -> None:
    """Sign a bundle with a private key.

    This writes bundle.sig into the folder. It signs bundle.json, which contains the SHA-256 of all other files.
    """
    from edge_runtime.bundle.signing.sealing import sign_folder

    with stops_command():
        public = sign_folder(folder, key)
        say(f"{shown(folder)}: signed by key {public.fingerprint[:16]}.")
