"""A training artifact: the folder that training writes and export reads.

model.keras     architecture and weights, without optimiser state
spec.json       the ModelSpec
split.csv       group,part: which patient was used for what
history.csv     epoch by epoch
metrics.json    what was measured, on which part
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.manifest import Evaluation, TrainingRecord
from edge_runtime.records import from_json, to_dict
from edge_runtime.spec import ModelSpec
from training.errors import ArtifactError
from training.splits import Split, read_split, write_split


@dataclass(frozen=True)
class Measured:
    """What ``metrics.json`` holds."""

    training: TrainingRecord
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Artifact:
    """Paths and contents of one artifact folder."""

    folder: Path

    @property
    def model_path(self) -> Path:
        """The Keras model."""
        return self.folder / "model.keras"

    def spec(self) -> ModelSpec:
        """Read ``spec.json``."""
        return from_json(ModelSpec, self._text("spec.json"), str(self.folder / "spec.json"))

    def split(self) -> Split:
        """Read ``split.csv``."""
        return read_split(self.folder / "split.csv")

    def measured(self) -> Measured:
        """Read ``metrics.json``."""
        return from_json(Measured, self._text("metrics.json"), str(self.folder / "metrics.json"))

    def write_choices(self, spec: ModelSpec, split: Split) -> None:
        """Write what is known before fitting."""
        _write_json(self.folder / "spec.json", spec)
        write_split(self.folder / "split.csv", split)

    def write_measured(self, measured: Measured) -> None:
        """Write ``metrics.json``, replacing an older one whole."""
        _write_json(self.folder / "metrics.json", measured)

    @property
    def history_path(self) -> Path:
        """One line an epoch, columns as Keras names them."""
        return self.folder / "history.csv"

    def epochs(self) -> int:
        """Count the epochs in ``history.csv``."""
        return len(self._text("history.csv").splitlines()) - 1

    def _text(self, name: str) -> str:
        path = self.folder / name
        if not path.is_file():
            raise ArtifactError(
                f"{path}: missing; expected a training artifact with model.keras, spec.json, split.csv and "
                "metrics.json. Make one with: python -m training fit RECIPE --data DIR --out DIR"
            )
        return path.read_text(encoding="utf-8")


def create(folder: Path) -> Artifact:
    """Make an empty artifact folder.

    Raises:
        ArtifactError: something already stands there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder}: already holds files and is not overwritten; give another --out or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    return Artifact(folder)


def _write_json(path: Path, record: object) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(to_dict(record), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
