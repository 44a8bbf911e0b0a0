"""Cache of known-answer checks, in the user's cache folder.

It contains one small file for each model file, interpreter and processor, by default below ``~/.cache``:
``$XDG_CACHE_HOME/edge-predict/known-answers/<key>``. If the cache cannot be read or written, the check runs at each
start. A user who can write to the cache can also change this program's environment, so its entries are trusted.
"""

from __future__ import annotations

import os

import cv2
import numpy as np

from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.platform.processor import processor_identity
from edge_runtime.platform.regular_files import read_regular
from edge_runtime.platform.sha256 import sha256_of
from edge_runtime.platform.users_folder import users_folder
from edge_runtime.serialisation.frozen import dataclass

_FOLDER = ("edge-predict", "known-answers")
_MOST_BYTES = 200


@dataclass(frozen=True)
class Stamp:
    """Key and path of one cache entry; ``path`` is None for a user without a home folder."""

    key: str
    path: str | None

    @classmethod
    def of(cls, files: tuple[str, ...], interpreter: str) -> Stamp:
        """Return the cache entry of a check on this processor.

        Args:
            files: SHA-256 of the manifest, which covers all files, and of the model file.
            interpreter: name, provider and version of the interpreter.
        """
        from edge_runtime import __version__

        software = (f"edge-predict {__version__}", f"numpy {np.__version__}", f"opencv {cv2.__version__}")
        text = "\n".join((*files, interpreter, *software, processor_identity()))
        key = sha256_of(text.encode("utf-8", "surrogateescape"))
        folder = cache_folder()
        return cls(key, None if folder is None else os.path.join(folder, key))

    def read(self) -> tuple[float, float] | None:
        """Return the cached difference and tolerance; None if there is no valid entry."""
        if self.path is None:
            return None
        try:
            data = read_regular(self.path, most=_MOST_BYTES)
            key, difference, tolerance = data.decode("ascii").split()
            return (float(difference), float(tolerance)) if key == self.key else None
        except (OSError, ValueError):
            return None

    def write(self, difference: float, tolerance: float) -> bool:
        """Write the entry in one step; return whether that succeeded."""
        if self.path is None:
            return False
        try:
            from pathlib import Path  # imported here: most starts only read

            path = Path(self.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            data = f"{self.key} {difference!r} {tolerance!r}\n".encode("ascii")
            write_whole(path, data, durable=False)  # a lost entry is computed again
        except OSError:
            return False
        return True


def cache_folder() -> str | None:
    """Return the folder of the cache; None without a home folder."""
    base = users_folder("XDG_CACHE_HOME", ".cache")
    return None if base is None else os.path.join(base, *_FOLDER)
