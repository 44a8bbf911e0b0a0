"""The few pieces of HTML that a report is made of; whatever they are given is escaped here and nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from edge_runtime.bundle.manifest import Figure

Cell = str | Figure | None
"""Text, a figure with its interval, or nothing measured."""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 940px; margin: 2em auto; padding: 0 1em }
h1 { margin-bottom: 0 } h2 { margin-top: 2em; border-bottom: 1px solid #bbb }
.notice { border-left: 4px solid #D55E00; padding: .5em 1em; background: #fdf3ec; font-weight: 600 }
.table { overflow-x: auto } table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: .25em .8em .25em 0; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left } td small { color: #666 }
figure { margin: 1.5em 0; break-inside: avoid } img { max-width: 100%; height: auto } figcaption { color: #444 }
code, pre { font-family: ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap }
@media print {
  body { font-size: 10pt; margin: 0; max-width: none }
  h2 { break-after: avoid } tr { break-inside: avoid }
}
</style>
</head>
<body>
$body
</body>
</html>
""")


@dataclass(frozen=True)
class Picture:
    """A PNG and the one sentence below it."""

    png: bytes
    caption: str

    def __post_init__(self) -> None:
        if not self.png.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError(f"picture {self.caption!r}: expected the bytes of a PNG, found {self.png[:8]!r}.")


def document(title: str, body: str) -> str:
    """Return a whole page around ``body``, which is HTML."""
    return _PAGE.substitute(title=escape(title), body=body)


def title(text: str) -> str:
    """Return the page's own heading."""
    return f"<h1>{escape(text)}</h1>"


def heading(text: str) -> str:
    """Return a section's heading."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of the style's class ``kind``; nothing for no text."""
    style = f' class="{escape(kind)}"' if kind else ""
    return f"<p{style}>{escape(text)}</p>" if text else ""


def verbatim(text: str) -> str:
    """Return text as it is typed: a command, or versions line by line."""
    return f"<pre>{escape(text)}</pre>"


def table(name: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table whose first column names the row; ``name`` is read aloud, not shown."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{_cell(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{_cell(first)}</th>{cells}</tr>')
    body = "\n".join(lines)
    return (
        f'<div class="table"><table aria-label="{escape(name)}">\n<thead><tr>{titles}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return escape(cell)
    spread = f" <small>[{cell.low:.3f}, {cell.high:.3f}]</small>" if cell.low is not None else ""
    return f"{cell.value:.3f}{spread}"


def picture(shown: Picture) -> str:
    """Return a figure with its caption, the PNG inside the page."""
    data, caption = base64.b64encode(shown.png).decode("ascii"), escape(shown.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )
