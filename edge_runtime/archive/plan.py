"""The plan of an archive: its settings, its records in shards, and where the files of a shard are.

DIR/plan.json                          settings; written last, so that a folder without it is no plan
DIR/manifest/0000.parquet              the records of 1,000 shards, one row group a shard
DIR/left_out.jsonl                     files of the sources that are no images, with the reason
DIR/shards/0000/000123.parquet         the results of one shard
DIR/attempts/000123                    the record that is being processed, while a shard is scored
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.archive.packages import require
from edge_runtime.archive.record import ArchiveRecord, from_table
from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.bundle.site_policy_in_force import NO_SITE_POLICY
from edge_runtime.errors import ArchiveError
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.config import PredictorConfig
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.serialisation.records import ABSENT, from_json

PLAN, MANIFEST, SHARDS, ATTEMPTS, LEFT_OUT = "plan.json", "manifest", "shards", "attempts", "left_out.jsonl"
SCHEMA = "edge-archive/2"
"""Version of the plan. The number changes when a key is added, removed or changes its meaning."""
SHARDS_PER_PART = 1000
"""Shards in one file of the manifest, and in one folder of results."""


@dataclass(frozen=True)
class PlannedModel:
    """The model of a plan: the fields of :class:`PredictorConfig`, and what identifies its predictions.

    Attributes:
        path: name or absolute path.
        trusted_key: absolute path.
        bundle, contract: SHA-256 of ``bundle.json`` and of the preprocessing steps.
        site_policy: absolute path of the site policy's file; None without one.
        site_policy_sha256: SHA-256 of that file.
    """

    path: str
    name: str
    version: str
    bundle: str
    contract: str
    backend: Runtime
    precision: Precision
    provider: Provider
    threads: int
    trusted_key: str | None
    site_policy: str | None = field(default=None, metadata=ABSENT)
    site_policy_sha256: str | None = field(default=None, metadata=ABSENT)

    @property
    def config(self) -> PredictorConfig:
        """The configuration with which every worker loads the model."""
        key = None if self.trusted_key is None else Path(self.trusted_key)
        return PredictorConfig(
            self.path,
            self.backend,
            self.precision,
            self.threads,
            key,
            self.provider,
            bundle=self.bundle,
            site_policy=NO_SITE_POLICY if self.site_policy is None else self.site_policy,
            site_policy_sha256=self.site_policy_sha256,
        )


@dataclass(frozen=True)
class ArchivePlan:
    """Contents of ``plan.json``.

    Attributes:
        id: SHA-256 of the settings and of every record. Equal sources and models have equal plans.
        sources: the sources as they were given.
        records: number of images.
        shard_size: images in each shard; the last one may have fewer.
        left_out: number of files that are left out, by reason.
        frame: what is asked of DICOM objects of several frames; None refuses them.
    """

    schema: str
    id: str
    model: PlannedModel
    sources: tuple[str, ...]
    records: int
    shard_size: int
    left_out: dict[str, int]
    frame: FrameChoice | None

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.records // self.shard_size)

    @property
    def calibrated(self) -> bool:
        """Whether a site policy decides."""
        return self.model.site_policy_sha256 is not None

    def first(self, shard: int) -> int:
        """Return the number of the first record of a shard."""
        return shard * self.shard_size

    def size(self, shard: int) -> int:
        """Return the number of records of a shard."""
        return min(self.shard_size, self.records - self.first(shard))


@dataclass(frozen=True)
class Archive:
    """An opened plan and its folder."""

    folder: Path
    plan: ArchivePlan

    def records(self, shard: int) -> Iterator[ArchiveRecord]:
        """Read the records of a shard.

        Raises:
            ArchiveError: ``archive_damaged``: the manifest cannot be read.
            MachineError: memory, descriptors or I/O failed.
        """
        path = part_path(self.folder, shard)
        pa, parquet = require("pyarrow"), require("pyarrow.parquet")
        try:
            with parquet.ParquetFile(path) as file:
                table = file.read_row_group(shard % SHARDS_PER_PART)
        except (pa.ArrowException, OSError, IndexError) as error:
            if fault := machine_error(error, str(path)):
                raise fault from None
            raise damaged(path, error) from None
        return from_table(table)

    def shard_path(self, shard: int) -> Path:
        """Return the path of the results of a shard."""
        return self.folder / SHARDS / f"{shard // SHARDS_PER_PART:04}" / f"{shard:06}.parquet"

    def attempt_path(self, shard: int) -> Path:
        """Return the path of the file with the record that is being processed."""
        return self.folder / ATTEMPTS / f"{shard:06}"

    def check_shard(self, shard: int) -> None:
        """Reject the number of a shard that the plan does not have.

        Raises:
            ArchiveError: ``archive_no_shard``.
        """
        if not 0 <= shard < self.plan.shards:
            raise ArchiveError(
                f"{self.folder}: found no shard {shard}, expected 0 to {self.plan.shards - 1}. Give another number.",
                code="archive_no_shard",
            )


def part_path(folder: Path, shard: int) -> Path:
    """Return the file of the manifest that holds the records of a shard."""
    return folder / MANIFEST / f"{shard // SHARDS_PER_PART:04}.parquet"


def open_archive(folder: Path) -> Archive:
    """Read the plan in a folder.

    Raises:
        ArchiveError: ``archive_no_plan``: the folder has no plan, or one of another release.
        ManifestError: ``plan.json`` is damaged.
    """
    path = folder / PLAN
    try:
        text = path.read_bytes()
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        raise ArchiveError(
            f"{folder}: found no {PLAN} ({error.strerror}), expected a planned archive. "
            "Make it with: edge-predict archive plan",
            code="archive_no_plan",
        ) from None
    if f'"schema": "{SCHEMA}"'.encode() not in text:
        raise ArchiveError(
            f"{path}: found a plan of another release, expected {SCHEMA}. Use the release that made it, or plan anew.",
            code="archive_no_plan",
        )
    return Archive(folder, from_json(ArchivePlan, text, str(path)))


def damaged(path: Path, error: Exception) -> ArchiveError:
    """Return the error for a file of the archive that cannot be read."""
    return ArchiveError(
        f"{path}: cannot be read ({error}), expected a whole file. Remove it and run the command again.",
        code="archive_damaged",
    )
