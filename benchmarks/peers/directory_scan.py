"""A plain scan: list every folder and stat every file.

Nothing can do without that and notice a file that was written again in place, which does not change its folder's times.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from benchmarks.task import Item, Task


def open_peer(task: Task) -> Callable[[Item], int]:
    """Return a function that counts the files."""
    return lambda item: scanned(task.options["folder"])


def scanned(folder: str) -> int:
    """List and stat everything below a folder; return how many files there are."""
    count, places = 0, [folder]
    while places:
        with os.scandir(places.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    places.append(entry.path)
                else:
                    entry.stat()
                    count += 1
    return count
