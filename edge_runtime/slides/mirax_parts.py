"""The files of a MIRAX slide: ``a.mrxs`` is a small image, and the folder ``a`` beside it holds the slide."""

from __future__ import annotations

from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path

from edge_runtime.errors import SlideError

SUFFIX, CONTENTS = ".mrxs", "Slidedat.ini"
_MOST_BYTES = 1 << 20
"""OpenSlide reads no longer list of contents."""


def check_parts(path: str) -> None:
    """Check that the files of a MIRAX slide are there; any other file passes.

    OpenSlide calls a slide without its folder a file of unknown format, and finds a missing file of tiles late.

    Raises:
        SlideError: ``slide_parts_missing``.
    """
    slide = Path(path)
    if slide.suffix.lower() != SUFFIX:
        return
    folder = slide.with_suffix("")
    for name in (CONTENTS, *_named(folder / CONTENTS)):
        if not (folder / name).is_file():
            raise SlideError(
                f"{path}: found no file {folder.name}/{name}, which belongs to the slide. "
                f"Copy the whole folder {folder.name} beside {slide.name}.",
                code="slide_parts_missing",
            )


def _named(contents: Path) -> list[str]:
    """Return the names in a list of contents; none if it cannot be read, which OpenSlide reports."""
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        with contents.open(encoding="utf-8-sig", errors="replace") as file:
            parser.read_string(file.read(_MOST_BYTES))
    except (OSError, ConfigError):
        return []
    index = parser.get("HIERARCHICAL", "INDEXFILE", fallback=None)
    tiles = parser["DATAFILE"].items() if parser.has_section("DATAFILE") else ()
    return [
        *([index] if index else []),
        *(name for key, name in tiles if key.startswith("file_") and key != "file_count"),
    ]
