"""CSV files of out-of-fold predictions: image, group, label, fold, baseline score and logits."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.platform.atomic_files import write_whole
from training.errors import ArtifactError

_KNOWN = ("name", "group", "label", "fold", "baseline")


@dataclass(frozen=True)
class HeldOutPrediction:
    """Prediction for one image by a network that was not trained on the image's group.

    Attributes:
        label: the name of the image's label.
        fold: number of the fold that tested the image, from 1.
        baseline: positive score (0..1) of the baseline fitted on the same images.
        logits: one per output of the network.
    """

    name: str
    group: str
    label: str
    fold: int
    baseline: float
    logits: tuple[float, ...]


def write_predictions(path: Path, predictions: Iterable[HeldOutPrediction]) -> None:
    """Write one line per image, atomically; numbers are written without loss of precision."""
    rows = tuple(predictions)
    outputs = len(rows[0].logits) if rows else 0

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerow([*_KNOWN, *(f"logit_{i}" for i in range(outputs))])
            writer.writerows([p.name, p.group, p.label, p.fold, p.baseline, *p.logits] for p in rows)

    write_whole(path, write)


def read_predictions(path: Path) -> tuple[HeldOutPrediction, ...]:
    """Return the predictions that :func:`write_predictions` wrote.

    Raises:
        ArtifactError: the file is missing, or is not a list of predictions.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: missing, expected predictions of a fold. Fit the fold again.")
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            return tuple(_prediction(row) for row in csv.DictReader(lines))
        except (KeyError, ValueError, TypeError) as error:
            raise ArtifactError(
                f"{path}: expected lines {','.join(_KNOWN)},logit_0,…, found {error}. Remove it and resume."
            ) from None


def _prediction(row: dict[str, str]) -> HeldOutPrediction:
    logits = tuple(float(value) for key, value in row.items() if key.startswith("logit_"))
    if not logits:
        raise ValueError("no logits")
    return HeldOutPrediction(row["name"], row["group"], row["label"], int(row["fold"]), float(row["baseline"]), logits)
