"""Which key is trusted: the one that the caller names, else the environment's."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.errors import KeyFileError

TRUSTED_KEY = "EDGE_TRUSTED_KEY"
"""The environment variable that names the file with the trusted public keys."""


def key_in_force(given: Path | None = None) -> Path | None:
    """Return the trusted key that was given, else the one that the environment names, else None.

    Raises:
        KeyFileError: either is there but empty: whoever set it wants a key to be trusted, and none would be.
    """
    if given is not None:
        if str(given) in ("", "."):  # Path("") is "."
            raise KeyFileError(
                "found an empty name for the trusted key, expected a key file. Name it, or leave it out."
            )
        return given
    named = os.environ.get(TRUSTED_KEY)
    if named is not None and not named.strip():
        raise KeyFileError(
            f"{TRUSTED_KEY} is set but empty, expected the name of a key file. Name it, or trust no key: "
            f"unset {TRUSTED_KEY}"
        )
    return None if named is None else Path(named)
