"""How much a bundle may hold. Whatever holds more is refused by name before its bytes are read."""

from __future__ import annotations

LARGEST_RECORD = 4 << 20
"""Bytes of ``bundle.json``, ``bundle.sig`` and a spec inside a model file; those that ship have about 50 kB."""

LARGEST_FILE = 1 << 30
"""Bytes of one file that ``bundle.json`` names."""

LARGEST_BUNDLE = 2 << 30
"""Bytes of all of them."""

MOST_FILES = 256
"""Files that ``bundle.json`` may name."""

MOST_NAMES = 10_000
"""Names in a folder or zip, archive litter and all."""
