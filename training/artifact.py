"""A training artifact: the folder that training writes and export reads.

model.keras     architecture and weights, without optimiser state
spec.json       the ModelSpec
split.csv       group,part: the part of the split that each patient is in
history.csv     one line per epoch
metrics.json    the figures of each part; written last, so that a missing file means an interrupted fit
checkpoint/     the state after the last whole epoch, until the fit is finished
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from edge_runtime.bundle.manifest import Evaluation, TrainingRecord
from edge_runtime.bundle.metrics import Localisation, SiteFigures
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.serialisation.records import ABSENT, from_json, write_record
from training.data.splits import Split, read_split, write_split
from training.errors import ArtifactError, why_not_written


@dataclass(frozen=True)
class MeasuredFigures:
    """Content of ``metrics.json``; ``localisations`` and ``sites`` are None until they have been measured."""

    training: TrainingRecord
    evaluations: tuple[Evaluation, ...]
    localisations: tuple[Localisation, ...] | None = field(default=None, metadata=ABSENT)
    sites: tuple[SiteFigures, ...] | None = field(default=None, metadata=ABSENT)


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

    def measured(self) -> MeasuredFigures:
        """Read ``metrics.json``."""
        return from_json(MeasuredFigures, self._text("metrics.json"), str(self.folder / "metrics.json"))

    @property
    def checkpoint_path(self) -> Path:
        """The state of an unfinished fit."""
        return self.folder / "checkpoint"

    @property
    def interrupted(self) -> bool:
        """Whether the folder contains a fit that is not finished."""
        return (self.folder / "spec.json").is_file() and not (self.folder / "metrics.json").is_file()

    def write_choices(self, spec: ModelSpec, split: Split) -> None:
        """Write the files that are known before fitting. ``spec.json`` comes last and marks the begin of the fit.

        Raises:
            ArtifactError: a file cannot be written, for example because the disk is full.
        """
        try:
            write_whole(self.folder / "split.csv", lambda part: write_split(part, split))
            write_record(self.folder / "spec.json", spec)
        except OSError as error:
            reason = why_not_written(self.folder / "split.csv", error)
            raise ArtifactError(f"{reason} Free space, remove {self.folder} and fit again.") from error

    def check_choices(self, spec: ModelSpec, split: Split) -> None:
        """Check that a continued fit has the same recipe and the same split.

        Raises:
            ArtifactError: ``spec.json`` or ``split.csv`` differ; the message names the first difference.
        """
        other = "Continue it with the recipe and --data that it began with, or give another --out."
        found, theirs = self.spec(), self.split()
        if found != spec:
            names = [f.name for f in fields(spec) if getattr(found, f.name) != getattr(spec, f.name)]
            raise ArtifactError(
                f"{self.folder / 'spec.json'}: found recipe {found.name} {found.version}, expected {spec.name} "
                f"{spec.version}; they differ in {', '.join(names)}. {other}"
            )
        if differing := sorted(group for group in {*theirs, *split} if theirs.get(group) is not split.get(group)):
            group = differing[0]
            was, here = (side[group].value if group in side else "absent" for side in (theirs, split))
            raise ArtifactError(
                f"{self.folder / 'split.csv'}: found another split than for these data: {len(differing)} of "
                f"{len({*theirs, *split})} groups differ, the first {group}: found {was}, expected {here}. {other}"
            )

    def write_measured(self, measured: MeasuredFigures) -> None:
        """Write ``metrics.json``, replacing an older file atomically."""
        write_record(self.folder / "metrics.json", measured)

    @property
    def history_path(self) -> Path:
        """The history: one line per epoch, with the column names of Keras."""
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
    """Create an empty artifact folder.

    Raises:
        ArtifactError: the folder already contains files, or the path is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        begun = " It is an interrupted fit: --resume continues it." if Artifact(folder).interrupted else ""
        raise ArtifactError(
            f"{folder}: already holds files and is not overwritten. Give another --out, or remove it.{begun}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return Artifact(folder)


def interrupted(folder: Path) -> Artifact:
    """Return the artifact of an interrupted fit.

    Raises:
        ArtifactError: the folder contains no fit, or a finished one.
    """
    artifact = Artifact(folder)
    if (folder / "metrics.json").is_file():
        raise ArtifactError(
            f"{folder}: nothing to resume: found metrics.json, so the fit is finished. Give another --out to fit again."
        )
    if not artifact.interrupted:
        raise ArtifactError(
            f"{folder}: nothing to resume: found no spec.json, which a fit writes when it begins. Leave --resume out."
        )
    return artifact
