"""SHA-256 of files, without OpenSSL as long as they are few.

:mod:`hashlib` loads OpenSSL. That takes 4 MB, and as long as the interpreter's own implementation takes for a megabyte.
OpenSSL then is up to five times as fast, so it takes over after :data:`FEW` bytes. The digests are the same. Module
:mod:`random` of the standard library goes the same way.
"""

from __future__ import annotations

from typing import Any

try:
    from _sha2 import sha256 as _own  # type: ignore[import-not-found]  # the name since Python 3.12
except ImportError:
    try:
        from _sha256 import sha256 as _own  # type: ignore[import-not-found]
    except ImportError:  # an interpreter that was built without it
        from hashlib import sha256 as _own

FEW = 1_500_000
"""Bytes of a manifest, an int8 model and a small image."""


class Sha256:
    """Hashes one file after the other."""

    def __init__(self) -> None:
        self._implementation: Any = _own
        self._left = FEW

    def __call__(self, data: bytes) -> str:
        """Return the SHA-256 of ``data``, 64 hexadecimal digits."""
        self._left -= len(data)
        if self._left < 0 and self._implementation is _own:
            from hashlib import sha256  # imported here: it loads OpenSSL

            self._implementation = sha256
        digest: str = self._implementation(data).hexdigest()
        return digest


sha256_of = Sha256()
"""The one of this process."""
