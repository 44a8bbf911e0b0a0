"""Display of an audit: a table of text, and a contact sheet of the worst pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.data.audit.audit import Audit, AuditFinding
from training.data.audit.duplicates import DuplicatePair
from training.data.datasets.dataset import Sample
from training.data.samples import SampleReader

CELL_PX = 200
COLUMNS = 3
MOST_PAIRS = 24
_TEXT_PX = 18
_SHOWN = 10

Cell = npt.NDArray[np.uint8]


def table(report: Audit) -> str:
    """Return the report as text: the count of each kind of finding, and the names of the first ten."""
    in_clusters = sum(len(cluster) for cluster in report.clusters)
    lines = [
        f"{report.dataset}: {report.summary}",
        *(f"  note: {note}" for note in report.notes),
        f"  exact copies                   {len(report.exact):6}",
        f"  clusters of near copies        {len(report.clusters):6}  over {in_clusters} images, "
        f"likeness >= {report.threshold}",
        f"  clusters across groups         {len(report.across_groups):6}",
        f"  contradictory pairs            {len(report.contradictions):6}",
        *_listed([_pair(found) for found in report.contradictions]),
        *(f"  sources with {n:3} files         {c:6}" for n, c in report.copies_per_source.items()),
        f"  groups on both sides           {len(report.straddling_groups):6}",
        *_listed(report.straddling_groups),
        f"  clusters on both sides         {len(report.straddling_clusters):6}",
        *_listed([" = ".join(cluster) for cluster in report.straddling_clusters]),
        f"  images that cannot be read   {len(report.refused):6}",
        *_listed(report.refused),
    ]
    return "\n".join(lines)


def worst(pairs: Sequence[DuplicatePair]) -> tuple[DuplicatePair, ...]:
    """Return at most ``MOST_PAIRS`` pairs: contradictions first, then pairs across groups, each by likeness."""
    order = sorted(pairs, key=lambda p: (p.first.label == p.second.label, p.first.group == p.second.group, -p.likeness))
    return tuple(order[:MOST_PAIRS])


def write_sheet(pairs: Sequence[DuplicatePair], labels: Sequence[str], path: Path) -> None:
    """Write a PNG of ``pairs`` side by side, with likeness, names and labels; write no file without pairs.

    The sheet contains images of the data set, so the data set's licence applies to it.
    """
    cells = [_cell(pair, labels) for pair in pairs]
    if not cells:
        return
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.vstack(rows))[1].tobytes())


def _pair(found: AuditFinding) -> str:
    how = "same pixels" if found.exact else f"likeness {found.likeness:.3f}"
    return f"{found.first} = {found.second}  ({found.labels[0]} / {found.labels[1]}, {how})"


def _listed(entries: Sequence[str]) -> list[str]:
    rest = [f"    and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return [f"    {entry}" for entry in entries[:_SHOWN]] + rest


def _cell(pair: DuplicatePair, labels: Sequence[str]) -> Cell:
    """Return two images side by side under two lines of text, uint8 H×W×3, BGR."""
    both = np.hstack([_shown(pair.first), _shown(pair.second)])
    cell = cv2.copyMakeBorder(both, 2 * _TEXT_PX, 4, 4, 4, cv2.BORDER_CONSTANT, value=(48, 32, 32))
    for side, sample in enumerate((pair.first, pair.second)):
        value = "" if side else f"{pair.likeness:.2f} "
        for line, text in enumerate((f"{value}{labels[sample.label]}", Path(sample.name).name[-30:])):
            place = (6 + side * CELL_PX, _TEXT_PX * (line + 1) - 5)
            cv2.putText(cell, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(cell, dtype=np.uint8)


def _shown(sample: Sample) -> Cell:
    pixels: npt.NDArray[Any] = SampleReader().read(sample).pixels
    small = cv2.resize(pixels, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)
    scaled = (small / np.iinfo(pixels.dtype).max * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_GRAY2BGR) if scaled.ndim == 2 else scaled, dtype=np.uint8)
