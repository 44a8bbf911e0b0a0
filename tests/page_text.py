"""What a person reads on a generated page, line by line: the form in which pages are held against a snapshot.

A snapshot that has to change is written again with ``EDGE_SNAPSHOTS=write pytest FILE``, and read before the commit.
"""

from __future__ import annotations

import base64
import os
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

BLOCKS = {"title", "h1", "h2", "p", "pre", "tr", "figcaption"}


class _Lines(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.text: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in BLOCKS:
            self.lines.append(f"{tag}.{named['class']}" if named.get("class") else tag)
            self.text = ""
        elif tag == "table":
            self.lines.append(f"table: {named['aria-label']}")
        elif tag == "img":
            png = base64.b64decode(str(named["src"]).removeprefix("data:image/png;base64,"))
            self.lines.append(f"img: {named['alt']} ({sha256(png).hexdigest()[:12]})")
        elif tag in {"td", "th"} and self.text:
            self.text += " | "

    def handle_data(self, data: str) -> None:
        if self.text is not None:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in BLOCKS and self.text is not None:
            self.lines[-1] += f": {self.text if tag == 'pre' else ' '.join(self.text.split())}"
            self.text = None


def page_text(html: str) -> str:
    """Return a line for each heading, paragraph, table row, image and caption; white space as a browser shows it."""
    return "\n".join(_Lines(html).lines) + "\n"


def is_as_before(html: str, snapshot: Path) -> bool:
    """Tell whether a page reads as its snapshot; with ``EDGE_SNAPSHOTS=write`` it becomes the snapshot."""
    if os.environ.get("EDGE_SNAPSHOTS") == "write":
        snapshot.write_text(page_text(html), encoding="utf-8")
    return page_text(html) == snapshot.read_text(encoding="utf-8")
