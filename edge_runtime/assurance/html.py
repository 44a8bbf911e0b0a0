"""Parts of the HTML pages of reports: no script, nothing from elsewhere, light and dark, to print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --ground: #fff; --line: #d0d7de; --good: #116329; --bad: #a40e26;
  --open: #7d4e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --ground: #0d1117; --line: #3d444d; --good: #56d364;
  --bad: #ff7b72; --open: #e3b341; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { overflow-wrap: anywhere; }
.shown { color: var(--good); } .below { color: var(--bad); } .open { color: var(--open); }
.verdict { font-size: 1.4rem; font-weight: 600; }
svg { width: 100%; height: 3rem; } svg text { fill: var(--ink); font-size: 11px; }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """Return a page with a heading; ``title`` is escaped, ``parts`` are HTML."""
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            "</main></body></html>\n",
        ]
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose cells are HTML; without ``head``, it has no first row."""
    names = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    body = "".join(
        f"<tr><th scope=row>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows
    )
    return f"<table>{top}<tbody>{body}</tbody></table>"
