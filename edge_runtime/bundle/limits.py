"""Size limits of a bundle. Larger content is rejected before its bytes are read."""

from __future__ import annotations

LARGEST_RECORD = 4 << 20
"""Largest ``bundle.json``, ``bundle.sig`` or embedded spec, in bytes. Those of the shipped models have about 50 kB."""

LARGEST_FILE = 1 << 30
"""Largest file of a bundle, in bytes."""

LARGEST_BUNDLE = 2 << 30
"""Largest sum of all files of a bundle, in bytes."""

MOST_FILES = 256
"""Largest number of files that ``bundle.json`` may name."""

MOST_NAMES = 10_000
"""Largest number of names in a folder or zip, including litter."""
