"""``history.csv``: one line per epoch, in the format of Keras' CSVLogger and in full precision.

The file is opened, flushed to the disk and closed for every line. An interrupted fit leaves no open file, and the line
of an epoch is on the disk before its checkpoint.
"""

from __future__ import annotations

import csv
from pathlib import Path

from edge_runtime.platform.atomic_files import sync_content
from training.errors import ArtifactError

Epoch = dict[str, float]
"""Figures that Keras logs for one epoch: loss and accuracy, on training and validation, and a varying learning rate."""


def read_history(path: Path, epochs: int) -> tuple[Epoch, ...]:
    """Return the first ``epochs`` lines.

    Raises:
        ArtifactError: there are fewer lines, or a value is not a number.
    """
    rows: list[Epoch] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as lines:
            for row in list(csv.DictReader(lines))[:epochs]:
                rows.append(_numbers(row, path))
    if len(rows) < epochs:
        raise ArtifactError(
            f"{path}: found {len(rows)} epochs, expected at least the {epochs} of the checkpoint beside it. "
            "The fit cannot be continued. Remove the folder and fit again."
        )
    return tuple(rows)


def cut_history(path: Path, epochs: int) -> None:
    """Remove the lines after ``epochs``. They belong to epochs without a checkpoint."""
    if not path.is_file():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = lines[: epochs + 1] if epochs else []  # without epochs, the header is removed too
    with path.open("rb+") as file:
        file.truncate(sum(len(line) for line in kept))  # needs no space, so it works on a full disk


def append_epoch(path: Path, epoch: int, figures: Epoch) -> None:
    """Append the line of ``epoch``, counted from 0. Write the header first if the file is empty.

    Raises:
        OSError: the file cannot be written, for example because the disk is full.
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
            "The fit cannot be continued. Remove the folder and fit again."
        ) from None
