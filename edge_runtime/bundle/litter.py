"""What file managers leave in folders and archives without being asked. It is never read, named or installed."""

from __future__ import annotations

from collections.abc import Sequence

FOLDERS = frozenset({"__macosx", ".appledouble", ".fseventsd", ".spotlight-v100", ".trashes", "@eadir"})
FILES = frozenset({".ds_store", ".localized", "desktop.ini", "ehthumbs.db", "thumbs.db"})
APPLE_DOUBLE = "._"


def is_litter(parts: Sequence[str]) -> bool:
    """Tell whether a path, given as its parts, is litter or lies in a folder that is; upper and lower case are one.

    It is by Finder (``__MACOSX``, ``.DS_Store``, ``._NAME``), by Explorer (``Thumbs.db``, ``desktop.ini``), or by the
    servers that both of them store files on.
    """
    *folders, name = (part.lower() for part in parts)
    return not FOLDERS.isdisjoint((*folders, name)) or name in FILES or name.startswith(APPLE_DOUBLE)
