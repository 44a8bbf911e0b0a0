"""A keyed hash of answers: who has the key can show that a results file has the answers that the log counted.

The hash is HMAC-SHA256 over one line of canonical JSON for each prediction, in their order. Without the key it says
nothing about the answers, so that the log still contains nothing of a patient.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge_runtime.errors import AuditError
from edge_runtime.platform.regular_files import read_regular, reason
from edge_runtime.serialisation.records import canonical_json

KEYS = ("time", "bundle", "sha256", "label", "score", "decision", "reason")
"""Keys of a prediction's JSON form that are hashed."""
SHORTEST, LONGEST = 16, 4096
"""Size of a key file in bytes."""


def read_key(path: Path) -> bytes:
    """Return the key: the bytes of the file, such as 32 of ``/dev/urandom``.

    Raises:
        AuditError: ``audit_key``.
    """
    try:
        key = read_regular(path, most=LONGEST)
    except OSError as error:
        raise AuditError(f"{path}: found no readable key ({reason(error)}). Name its file.", code="audit_key") from None
    if len(key) < SHORTEST:
        text = f"{path}: found {len(key)} bytes, expected at least {SHORTEST} random ones. Make a new key."
        raise AuditError(text, code="audit_key")
    return key


def message_of(fields: Mapping[str, object]) -> bytes:
    """Return what is hashed of a prediction in its JSON form."""
    return f"{canonical_json([fields.get(key) for key in KEYS])}\n".encode("ascii")


def keyed_hash(key: bytes, messages: Iterable[bytes]) -> str:
    """Return the hash (hex) of messages in their order."""
    found = hmac.new(key, digestmod="sha256")
    for message in messages:
        found.update(message)
    return found.hexdigest()
