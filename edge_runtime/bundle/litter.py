"""Litter: files that file managers add to folders and archives. They are never read, listed or installed."""

from __future__ import annotations

from collections.abc import Sequence

FOLDERS = frozenset({"__macosx", ".appledouble", ".fseventsd", ".spotlight-v100", ".trashes", "@eadir"})
FILES = frozenset({".ds_store", ".localized", "desktop.ini", "ehthumbs.db", "thumbs.db"})
APPLE_DOUBLE = "._"


def is_litter(parts: Sequence[str]) -> bool:
    """Return whether a path, given as its parts, is litter or lies in a litter folder; case is ignored.

    Litter comes from Finder (``__MACOSX``, ``.DS_Store``, ``._NAME``), from Explorer (``Thumbs.db``, ``desktop.ini``),
    or from file servers.
    """
    *folders, name = (part.lower() for part in parts)
    return not FOLDERS.isdisjoint((*folders, name)) or name in FILES or name.startswith(APPLE_DOUBLE)
