"""Options of the ``edge-dicom`` commands that talk to another application entity, and what they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from edge_runtime.dicom.peer import Peer, TlsFiles

OWN_TITLE = "EDGEPREDICT"
FILE = click.Path(dir_okay=False, path_type=Path)
TO = click.option("--to", required=True, metavar="AET@HOST:PORT", help="Application entity to send to.")
TITLE = click.option("--aet", default=OWN_TITLE, show_default=True, help="Own AE title.")
TO_TLS = click.option("--to-tls", is_flag=True, help="Connect to it with TLS.")
TO_CA = click.option("--to-ca", type=FILE, help="Authority of its certificate, PEM; by default the system's.")
CERT = click.option("--tls-cert", type=FILE, help="Own certificate for TLS, PEM.")
KEY = click.option("--tls-key", type=FILE, help="Its key, PEM.")


def peer_of(
    to: str, aet: str, to_tls: bool, certificate: Path | None, key: Path | None, authority: Path | None
) -> Peer:
    """Return the application entity that the options name.

    Raises:
        UsageError: an address, a title or a file of TLS is invalid, or pynetdicom is missing.
    """
    from edge_runtime.dicom.peer import Peer, ae_title, require_packages

    require_packages()
    return Peer.parse(to, ae_title(aet), outgoing(to_tls, certificate, key, authority))


def outgoing(to_tls: bool, certificate: Path | None, key: Path | None, authority: Path | None) -> TlsFiles | None:
    """Return the files of TLS for a connection to another application entity; None without TLS.

    Raises:
        UsageError: a file is invalid, or there is an authority without TLS.
    """
    from edge_runtime.dicom.peer import TlsFiles

    if not to_tls:
        if authority is not None:
            raise UsageError("found --to-ca without --to-tls, expected both. Add --to-tls.")
        return None
    tls = TlsFiles(certificate, key, authority)
    tls.client()  # wrong files are told at once
    return tls
