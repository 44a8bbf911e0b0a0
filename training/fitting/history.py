"""``history.csv``: one line an epoch, in the form of Keras' CSVLogger and in full precision.

The file is opened, flushed to the disk and closed at every line: an interrupted fit leaves no open file, and
the line of an epoch is on the disk before its checkpoint is.
"""

from __future__ import annotations

import csv
from pathlib import Path

from edge_runtime.platform.atomic_files import sync_content
from training.errors import ArtifactError

Epoch = dict[str, float]
"""What Keras logs of one epoch: loss, accuracy, the same for validation, and the rate where a plan lowers it."""


def read_history(path: Path, epochs: int) -> tuple[Epoch, ...]:
    """Return the first ``epochs`` lines.

    Raises:
        ArtifactError: there are fewer, or a value is no number.
    """
    rows: list[Epoch] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as lines:
            for row in list(csv.DictReader(lines))[:epochs]:
                rows.append(_numbers(row, path))
    if len(rows) < epochs:
        raise ArtifactError(
            f"{path}: found {len(rows)} epochs, expected at least the {epochs} of the checkpoint beside it. "
            "The fit cannot be continued: remove the folder and fit again."
        )
    return tuple(rows)


def cut_history(path: Path, epochs: int) -> None:
    """Drop the lines after ``epochs``: epochs that were begun or ended, but not saved."""
    if not path.is_file():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = lines[: epochs + 1] if epochs else []  # without epochs, the heading goes as well
    with path.open("rb+") as file:
        file.truncate(sum(len(line) for line in kept))  # needs no space, so a full disk cannot lose the rest


def append_epoch(path: Path, epoch: int, figures: Epoch) -> None:
    """Write the line of ``epoch``, counted from 0; the first line in a file has a heading before it.

    Raises:
        OSError: the disk takes no more.
    """
    names = sorted(figures)
    with path.open("a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        if file.tell() == 0:
            rows.writerow(["epoch", *names])
        rows.writerow([epoch, *(float(figures[name]) for name in names)])
    sync_content(path)


def _numbers(row: dict[str, str], path: Path) -> Epoch:
    try:
        return {name: float(value) for name, value in row.items() if name != "epoch"}
    except (TypeError, ValueError):
        raise ArtifactError(
            f"{path}: expected a number in every column of epoch {row.get('epoch')}, found {row}. "
            "The fit cannot be continued: remove the folder and fit again."
        ) from None
