"""Files that are either whole or as they were before, whatever ends the program while it writes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from edge_runtime.platform.atomic_files import sync_names
from edge_runtime.serialisation.records import to_dict


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, flush it to the disk, then rename it to ``path``.

    The file beside it keeps the suffix (``last.part.keras``), because Keras chooses the format by it.

    Raises:
        OSError: the disk is full, or the folder takes no files; ``path`` is then as it was.
    """
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        write(part)
        flush(part)
        part.replace(path)
    except BaseException:  # an interruption, too, must not leave half a file on a disk that may be full
        part.unlink(missing_ok=True)
        raise
    sync_names(path.parent)


def write_json(path: Path, record: object) -> None:
    """Write a frozen dataclass as indented JSON, whole or not at all; raises as :func:`write_whole`."""
    text = json.dumps(to_dict(record), indent=2, ensure_ascii=False) + "\n"
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def flush(path: Path) -> None:
    """Wait until the contents of ``path`` are on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def why_not_written(path: Path, error: OSError) -> str:
    """Say which file could not be written, why, and how many bytes are free where it should stand."""
    free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else 0
    return f"{path}: cannot be written ({error.strerror or error}); found {free} bytes free in {path.parent}."
