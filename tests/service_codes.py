"""The codes that ``edge-serve`` gives an error, read from its source."""

from __future__ import annotations

import ast

from tests.places import ROOT

_PLACE = {"Problem": 1, "busy": 0}
"""Position of the code among the arguments of each function that makes a problem."""


def service_codes() -> set[str]:
    """Return every code that stands in a call of these functions."""
    found = {"internal"}
    for path in (ROOT / "edge_runtime" / "serving").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _PLACE:
                given = node.args[_PLACE[node.func.id]]
                if isinstance(given, ast.Constant):
                    found.add(given.value)
    return found
