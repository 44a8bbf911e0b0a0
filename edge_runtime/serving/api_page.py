"""The page ``/docs``: the OpenAPI document as plain HTML, in the style of the page, without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any


def render(document: dict[str, Any]) -> bytes:
    """Return the page."""
    info = document["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])}: HTTP interface</title>",
        '<link rel="stylesheet" href="page/style/theme.css">',
        '<link rel="stylesheet" href="page/style/reference.css"></head><body><main>',
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
        '<p><a href="openapi.json">openapi.json</a> has the same for programs.</p>',
        *_operations(document["paths"]),
        "<h2>Schemas</h2>",
        *_schemas(document["components"]["schemas"]),
        "</main></body></html>\n",
    ]
    return "\n".join(parts).encode("utf-8")


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
            rows = [(f"{p['name']} ({p['in']})", p["description"]) for p in operation.get("parameters", [])]
            yield from _table("parameter", rows)
            kinds = operation.get("requestBody", {}).get("content", {})
            yield from _table("body", [(kind, "") for kind in kinds])
            responses = operation["responses"].items()
            yield from _table("status", [(status, response["description"]) for status, response in responses])


def _table(name: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        cells = (f"<tr><td><code>{escape(one)}</code></td><td>{escape(other)}</td></tr>" for one, other in rows)
        yield f'<table><thead><tr><th scope="col">{name}</th><th scope="col">meaning</th></tr></thead><tbody>'
        yield from cells
        yield "</tbody></table>"


def _schemas(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        text = escape(json.dumps(schema, indent=2))
        yield f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3><pre tabindex="0">{text}</pre>'
