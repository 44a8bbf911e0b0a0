"""What was found when a file's golden vectors were replayed here, kept in the user's cache.

One small file for each model file, interpreter and processor: ``$XDG_CACHE_HOME/edge-predict/known-answers/<key>``,
by default below ``~/.cache``. A cache that cannot be read or written costs a replay at each start and nothing else.
Whoever may write to it may also change this program's environment; nothing else is read from there.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.platform.processor import processor_identity
from edge_runtime.platform.regular_files import read_regular

_FOLDER = ("edge-predict", "known-answers")
_MOST_BYTES = 200


@dataclass(frozen=True)
class Stamp:
    """One finding's place; ``path`` is None for a user without a home."""

    key: str
    path: Path | None

    @classmethod
    def of(cls, files: tuple[str, ...], interpreter: str) -> Stamp:
        """Return the stamp of a replay.

        Args:
            files: hashes of the manifest, which names all files, and of the file that is checked.
            interpreter: its name, provider and version.
        """
        from edge_runtime import __version__

        software = (f"edge-predict {__version__}", f"numpy {np.__version__}", f"opencv {cv2.__version__}")
        text = "\n".join((*files, interpreter, *software, processor_identity()))
        key = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        folder = cache_folder()
        return cls(key, None if folder is None else folder / key)

    def read(self) -> tuple[float, float] | None:
        """Return the difference and the tolerance that were found; None if nothing that can be read was."""
        if self.path is None:
            return None
        try:
            data = read_regular(self.path, most=_MOST_BYTES)
            key, difference, tolerance = data.decode("ascii").split()
            return (float(difference), float(tolerance)) if key == self.key else None
        except (OSError, ValueError):
            return None

    def write(self, difference: float, tolerance: float) -> bool:
        """Keep what was found, whole or not at all; return whether that was possible."""
        if self.path is None:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            data = f"{self.key} {difference!r} {tolerance!r}\n".encode("ascii")
            write_whole(self.path, data, durable=False)  # what is lost is replayed
        except OSError:
            return False
        return True


def cache_folder() -> Path | None:
    """Return the folder of the findings; a relative ``$XDG_CACHE_HOME`` is ignored (XDG Base Directory 0.8)."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = chosen if chosen.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return base.joinpath(*_FOLDER)
