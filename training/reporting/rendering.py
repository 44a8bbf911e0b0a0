"""Renders pages from templates: reports, and in ``export`` the proof page and the model card of a bundle.

Python prepares one frozen dataclass for each page. A template contains the text, loops and conditions, and no
arithmetic. Values are escaped in HTML, and not in Markdown. An undefined name in a template is an error.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from edge_runtime.bundle.manifest import Figure

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of the report templates and of shared parts: the page frame with its style sheet, and the macros."""

Cell = str | Figure | None
"""Text, a figure with its interval, or None where nothing was measured."""


@dataclass(frozen=True)
class Table:
    """Content of a table; the first column contains the names of the rows."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class CaptionedImage:
    """A PNG and its caption."""

    png: bytes
    caption: str

    def __post_init__(self) -> None:
        if not self.png.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError(f"image {self.caption!r}: found {self.png[:8]!r}, expected the bytes of a PNG.")

    @property
    def base64(self) -> str:
        """The PNG in base64, as embedded in a page."""
        return base64.b64encode(self.png).decode("ascii")


def render(template: Path, page: object) -> str:
    """Return the text of a template rendered with ``page``, its only variable.

    Args:
        template: templates that it extends or imports must be in its folder or in :data:`TEMPLATES`.

    Raises:
        jinja2.UndefinedError: the template uses a name that ``page`` does not have.
    """
    return _environment(template.parent).get_template(template.name).render(page=page)


def sentence(text: str) -> str:
    """Return a note as a sentence, with a capital at the start and a full stop at the end."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def markdown_cell(cell: Cell) -> str:
    """Return the text of a cell of a Markdown table, with bars escaped and line breaks replaced."""
    text = "–" if cell is None else cell if isinstance(cell, str) else cell.text()
    return text.replace("|", r"\|").replace("\n", " ")


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"sentence": sentence, "markdown_cell": markdown_cell}
    return environment
