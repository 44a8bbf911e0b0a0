"""The few pieces of Markdown that the card is made of, and how it finds its figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.metrics import Evaluation, Figure

BASELINE = "baseline"


def section(title: str, *paragraphs: str, level: int = 2) -> str:
    """Return a heading and its paragraphs; those without text are left out."""
    return "\n\n".join([f"{'#' * level} {title}", *(text for text in paragraphs if text)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; nothing for no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines]) if lines else ""


def cell(figure: Figure | None) -> str:
    """Return a figure with its interval, or a dash for what is not measured."""
    return "–" if figure is None else figure.text()


def sentence(text: str) -> str:
    """Return a note as a sentence: a capital first, a full stop last."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def evaluation_of(manifest: Manifest, subject: str, part: str) -> Evaluation | None:
    """Return what was measured on a subject and part, None if it was not."""
    return next((e for e in manifest.evaluations if (e.subject, e.part) == (subject, part)), None)


def figure_of(evaluation: Evaluation | None, name: str) -> Figure | None:
    """Return a figure by its name, None where it was not measured."""
    figures = () if evaluation is None else evaluation.figures
    return next((figure for figure in figures if figure.name == name), None)


def grouped_by(manifest: Manifest) -> str:
    """Return what the split keeps together and a bootstrap draws, in the plural."""
    record = manifest.training
    return "patients" if record is None or record.audit is None else record.audit.grouped_by
