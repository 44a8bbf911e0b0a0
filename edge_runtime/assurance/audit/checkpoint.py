"""A signed head of an audit log, to be kept elsewhere: it shows later that nothing up to it was cut or replaced.

A checkpoint is three lines of ASCII: the head, and the two lines of a signature (``bundle/signing``) of the first line.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge_runtime.assurance.audit.entry import Link
from edge_runtime.bundle.signing.keys import read_public_keys
from edge_runtime.bundle.signing.signatures import AUDIT_DOMAIN, check, sign
from edge_runtime.errors import AuditError
from edge_runtime.platform.regular_files import read_regular, reason

_FORM = re.compile(
    rb"(edge-audit-head/1 ([1-9]\d{0,17}) ([0-9a-f]{64})\n)(key sha256 [0-9a-f]{64}\ned25519 [0-9a-f]{128}\n)"
)
_LONGEST = 4096


def checkpoint(head: Link, private: Path) -> bytes:
    """Return the content of a checkpoint file.

    Raises:
        KeyFileError, SigningMissingError: as in :func:`edge_runtime.bundle.signing.signatures.sign`.
    """
    text = f"edge-audit-head/1 {head.number} {head.hash}\n".encode("ascii")
    return text + sign(text, private, AUDIT_DOMAIN)


def read_checkpoint(path: Path, trusted: Path) -> Link:
    """Return the head in a checkpoint file, after checking its signature.

    Raises:
        AuditError: the file is no checkpoint (``audit_checkpoint``).
        SignatureError: another key signed it, or it was altered.
        KeyFileError, SigningMissingError: as in :func:`read_public_keys`.
    """
    try:
        found = _FORM.fullmatch(read_regular(path, most=_LONGEST))
    except OSError as error:
        raise _no_checkpoint(path, reason(error)) from None
    if found is None:
        raise _no_checkpoint(path, "another content")
    check(found[4], found[1], read_public_keys(trusted), str(path), AUDIT_DOMAIN)
    return Link(int(found[2]), found[3].decode("ascii"))


def _no_checkpoint(path: Path, found: str) -> AuditError:
    text = f"{path}: found {found}, expected a checkpoint of edge-bundle audit sign. Name its file."
    return AuditError(text, code="audit_checkpoint")
