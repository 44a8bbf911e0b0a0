"""The report of a site acceptance as a record, and its signature."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.assurance.acceptance import Acceptance
from edge_runtime.assurance.protocol import Protocol
from edge_runtime.bundle.signing.keys import PublicKey, read_public_keys
from edge_runtime.bundle.signing.signatures import REPORT_DOMAIN, check
from edge_runtime.errors import AcceptanceError, SignatureError
from edge_runtime.selftest.certificate import Certificate
from edge_runtime.serialisation.records import from_json, to_dict

PROTOCOL, ANSWERS = "protocol.json", "answers.jsonl"
REPORT, PAGE, REPORT_SIGNATURE = "acceptance.json", "acceptance.html", "acceptance.sig"


@dataclass(frozen=True)
class AcceptanceReport:
    """Everything that a reader of the result needs.

    Attributes:
        protocol: what had to be shown.
        protocol_sha256: SHA-256 of its canonical JSON, fixed before the first answer.
        answers_sha256: SHA-256 of the file of answers.
        date: UTC, RFC 3339.
        software: version of edge-predict.
        result: the result.
        certificate: the self-test of this machine with this bundle.
        notice: what the result does not mean.
    """

    protocol: Protocol
    protocol_sha256: str
    answers_sha256: str
    date: str
    software: str
    result: Acceptance
    certificate: Certificate
    notice: str

    def to_bytes(self) -> bytes:
        """Return the JSON file."""
        return (json.dumps(to_dict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def verify(folder: Path, trusted: Path) -> tuple[AcceptanceReport, PublicKey]:
    """Return the report in ``folder`` and the key that signed it.

    Args:
        folder: folder that an acceptance wrote.
        trusted: file with public keys.

    Raises:
        AcceptanceError: there is no report, or it contradicts the protocol or the answers beside it.
        SignatureError: it is not signed, or not by a trusted key, or was altered.
    """
    content, signature = _read(folder, REPORT), _read_signature(folder)
    signer = check(signature, content, read_public_keys(trusted), str(folder / REPORT), REPORT_DOMAIN)
    return from_json(AcceptanceReport, content, str(folder / REPORT)), signer


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise AcceptanceError(
            f"{folder / name}: found {error.strerror}, expected the report of a site acceptance. Name its folder.",
            code="acceptance_report_missing",
        ) from None


def _read_signature(folder: Path) -> bytes:
    try:
        return (folder / REPORT_SIGNATURE).read_bytes()
    except OSError:
        raise SignatureError(
            f"{folder}: found no {REPORT_SIGNATURE}, expected a signature by the trusted key: repeat the command with "
            "--sign-key.",
            code="signature_missing",
        ) from None
