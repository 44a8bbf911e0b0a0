"""The commands ``edge-dicom send``, ``echo`` and ``orthanc-plugin``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from edge_runtime.cli.dicom_peer_options import CERT, KEY, TITLE, TO, TO_CA, TO_TLS, peer_of
from edge_runtime.cli.exit_codes import EXIT_SOME_FAILED, Command, stops_command
from edge_runtime.cli.output import say, tell
from edge_runtime.platform.escaped_names import shown


@click.command("send", cls=Command)
@click.argument(
    "files", metavar="FILE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@TO
@TITLE
@TO_TLS
@TO_CA
@CERT
@KEY
def send(
    files: tuple[Path, ...],
    to: str,
    aet: str,
    to_tls: bool,
    to_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """Send DICOM files by C-STORE. Other files in folders are left out.

    Exit status 1 means that not every file was accepted.
    """
    with stops_command():
        peer = peer_of(to, aet, to_tls, tls_cert, tls_key, to_ca)
        from edge_runtime.dicom.peer import PeerError, accepts

        given = list(_dicom_files(files))
        sent = 0
        try:
            for path, status in peer.store(given):
                if accepts(status):
                    sent += 1
                else:
                    answered = "no answer" if status is None else f"status 0x{status:04X}"
                    tell(f"{shown(path)}: not accepted ({answered}).")
        except PeerError as error:
            tell(f"error [{error.code}]: {to} accepts no association. Check address, AE titles and TLS.")
        say(f"{sent} of {len(given)} instances accepted by {shown(peer.title)}.")
        if sent < len(given) or not given:
            sys.exit(EXIT_SOME_FAILED)


@click.command("echo", cls=Command)
@TO
@TITLE
@TO_TLS
@TO_CA
@CERT
@KEY
def echo(to: str, aet: str, to_tls: bool, to_ca: Path | None, tls_cert: Path | None, tls_key: Path | None) -> None:
    """Check by C-ECHO that an application entity answers. Exit status 1 means that it does not."""
    with stops_command():
        peer = peer_of(to, aet, to_tls, tls_cert, tls_key, to_ca)
        from edge_runtime.dicom.peer import PeerError

        try:
            peer.echo()
        except PeerError as error:
            tell(f"error [{error.code}]: {shown(to)} does not answer. Check address, AE titles and TLS.")
            sys.exit(EXIT_SOME_FAILED)
        say(f"{shown(to)} answers.")


@click.command("orthanc-plugin", cls=Command)
def orthanc_plugin() -> None:
    """Print the plugin for Orthanc. Save it, and name it as PythonScript in Orthanc's configuration."""
    with stops_command():
        path = Path(__file__).parents[1] / "dicom" / "orthanc_plugin.py"
        say(path.read_text(encoding="utf-8"), end="")


def _dicom_files(given: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the given files, and those in folders that have the prefix of DICOM files, in order of their names."""
    for path in given:
        if path.is_dir():
            yield from (each for each in sorted(path.rglob("*")) if each.is_file() and _has_prefix(each))
        else:
            yield path


def _has_prefix(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
