"""Figures as text."""

from __future__ import annotations

from edge_runtime.manifest import Evaluation


def table_of(evaluation: Evaluation) -> str:
    """Return one evaluation as lines, a figure each with its interval."""
    head = (
        f"{evaluation.subject} on {evaluation.part}: {evaluation.images} pictures of {evaluation.groups} patients, "
        f"{evaluation.positives} positive; 95 % intervals by bootstrap over patients"
    )
    rows = [
        f"  {f.name:36} {f.value:.3f}" + (f"  [{f.low:.3f}, {f.high:.3f}]" if f.low is not None else "")
        for f in evaluation.figures
    ]
    return "\n".join([head, *rows])
