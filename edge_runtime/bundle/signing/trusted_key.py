"""The trusted key: given by the caller, or by the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_runtime.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path

TRUSTED_KEY = "EDGE_TRUSTED_KEY"
"""Environment variable with the path of the file of trusted public keys."""


def key_in_force(given: Path | None = None) -> Path | None:
    """Return the path of the trusted key: ``given``, or the path in the environment variable, or None.

    Raises:
        KeyFileError: the path is set but empty, which would silently turn off the check.
    """
    if given is not None:
        if str(given) in ("", "."):  # Path("") is "."
            raise KeyFileError(
                "found an empty path for the trusted key, expected a key file. Name the file, or leave it out."
            )
        return given
    named = os.environ.get(TRUSTED_KEY)
    if named is not None and not named.strip():
        raise KeyFileError(
            f"{TRUSTED_KEY}: found an empty value, expected the path of a key file. Name the file, or trust no key: "
            f"unset {TRUSTED_KEY}"
        )
    if named is None:
        return None
    from pathlib import Path  # imported here: most users trust no key

    return Path(named)
