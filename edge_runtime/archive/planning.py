"""Write the plan of an archive: stream the records of its sources into shards, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_runtime.archive.packages import require
from edge_runtime.archive.plan import (
    LEFT_OUT,
    MANIFEST,
    PLAN,
    SCHEMA,
    SHARDS_PER_PART,
    Archive,
    ArchivePlan,
    PlannedModel,
    open_archive,
    part_path,
)
from edge_runtime.archive.record import ArchiveRecord, plan_hash, record_schema, to_table
from edge_runtime.archive.sources import read_source
from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.errors import ArchiveError, ArchiveWriteError
from edge_runtime.images.left_out import LeftOut
from edge_runtime.inference.prediction import LeftOutLine
from edge_runtime.platform.atomic_files import sync_content, sync_names
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.predictor import Predictor
from edge_runtime.results.lines import to_line
from edge_runtime.serialisation.records import write_record

SHARD_SIZE = 1000
"""Images in a shard, if the caller names no other number."""
Seen = Callable[[int], object]


@dataclass
class _Written:
    """Counts of what is written so far."""

    records: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def plan_archive(
    sources: Sequence[str],
    folder: Path,
    predictor: Predictor,
    *,
    shard_size: int = SHARD_SIZE,
    column: str | None = None,
    frame: FrameChoice | None = None,
    seen: Seen = bool,
) -> Archive:
    """Find the images of all sources and write the plan into ``folder``.

    A finished plan is not changed: the same sources and the same model give the same plan.

    Args:
        sources: as in :func:`edge_runtime.archive.sources.read_source`.
        predictor: the loaded model that every worker will load again.
        column: column with the bytes of the images, for Parquet files.
        frame: what is asked of DICOM objects of several frames; None refuses them, as :meth:`Predictor.predict` does.
        seen: called with the number of images found so far, after each shard.

    Raises:
        ArchiveError: ``archive_exists``: the folder has another plan; ``archive_source``: a source cannot be read or
            occurs twice; ``archive_regions``: the model requires regions.
        ArchiveWriteError: the folder cannot be written.
        MachineError: memory, descriptors or I/O failed.
    """
    model = _model(predictor)
    if twice := sorted(source for source, count in Counter(sources).items() if count > 1):
        raise ArchiveError(f"found {twice[0]} twice, expected each source once. Remove one of them.")
    part = folder / f".plan.{os.getpid()}"
    try:
        part.mkdir(parents=True)
        try:
            asked = _Asked(tuple(sources), shard_size, column, frame, dicom=predictor.spec.dicom is not None)
            plan = _write(part, asked, model, seen)
            return _put(part, folder, plan)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        if fault := machine_error(error, str(folder)):
            raise fault from None
        raise ArchiveWriteError(f"{folder}: cannot be written ({error.strerror}). Name another folder.") from None


def _model(predictor: Predictor) -> PlannedModel:
    config, spec = predictor.config, predictor.spec
    if config is None:
        raise TypeError("found a Predictor of an open bundle, expected one from Predictor.load.")
    if spec.region is not None:
        raise ArchiveError(
            f"{spec.name}: found a model of marked regions, expected one of whole images. Name another --model.",
            code="archive_regions",
        )
    key = None if config.trusted_key is None else str(config.trusted_key)
    return PlannedModel(
        path=config.model,
        name=spec.name,
        version=spec.version,
        bundle=predictor.digest,
        contract=spec.contract,
        backend=config.backend,
        precision=config.precision,
        provider=config.provider,
        threads=config.threads,
        trusted_key=key,
        site_policy=None if predictor.site_policy is None else config.site_policy,
        site_policy_sha256=config.site_policy_sha256,
    )


@dataclass(frozen=True)
class _Asked:
    """What is planned; ``dicom``: whether the model accepts DICOM."""

    sources: tuple[str, ...]
    shard_size: int
    column: str | None
    frame: FrameChoice | None
    dicom: bool

    def found(self) -> Iterator[ArchiveRecord | LeftOut]:
        """Yield the images of all sources, and what is left out."""
        return (each for source in self.sources for each in read_source(source, self.column, dicom=self.dicom))

    def digest(self, model: PlannedModel) -> hashlib._Hash:
        """Return the hash of the settings, to which the records are added."""
        settings = [SCHEMA, model.bundle, model.contract, model.precision.value, model.backend.value, self.shard_size]
        site = () if model.site_policy_sha256 is None else (model.site_policy_sha256,)
        frame = None if self.frame is None else self.frame.value
        return plan_hash([*settings, model.provider.value, frame, *site])


def _write(part: Path, asked: _Asked, model: PlannedModel, seen: Seen) -> ArchivePlan:
    written, digest = _Written(), asked.digest(model)
    (part / MANIFEST).mkdir()
    with (part / LEFT_OUT).open("w", encoding="ascii") as left_out, _Parts(part) as parts:
        for rows in _shards(_records(asked.found(), left_out, model.bundle, written), asked.shard_size):
            for row in rows:
                digest.update(row.hashed() + b"\n")
            parts.append(rows)
            written.records += len(rows)
            seen(written.records)
    sync_content(part / LEFT_OUT)
    counts = {reason: written.left_out[reason] for reason in sorted(written.left_out)}
    return ArchivePlan(
        SCHEMA, digest.hexdigest(), model, asked.sources, written.records, asked.shard_size, counts, asked.frame
    )


def _records(
    found: Iterable[ArchiveRecord | LeftOut], left_out: Any, bundle: str, written: _Written
) -> Iterator[ArchiveRecord]:
    for entry in found:
        if isinstance(entry, ArchiveRecord):
            yield entry
        else:
            written.left_out[entry.reason.value] += 1
            left_out.write(to_line(LeftOutLine(entry.path, entry.reason.value, bundle)) + "\n")


def _shards(records: Iterable[ArchiveRecord], size: int) -> Iterator[list[ArchiveRecord]]:
    rows: list[ArchiveRecord] = []
    for record in records:
        rows.append(record)
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows


class _Parts:
    """The files of the manifest: one row group for each shard, a new file after :data:`SHARDS_PER_PART` of them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._shards, self._writer, self._path = folder, 0, None, folder

    def append(self, rows: list[ArchiveRecord]) -> None:
        """Write the next shard."""
        if self._shards % SHARDS_PER_PART == 0:
            self.close()
            self._path = part_path(self._folder, self._shards)
            self._writer = require("pyarrow.parquet").ParquetWriter(self._path, record_schema(), compression="zstd")
        assert self._writer is not None
        self._writer.write_table(to_table(rows), row_group_size=len(rows))
        self._shards += 1

    def close(self) -> None:
        """Finish the current file and flush it to the disk."""
        if self._writer is not None:
            self._writer.close()
            sync_content(self._path)
            self._writer = None

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _put(part: Path, folder: Path, plan: ArchivePlan) -> Archive:
    """Move the written files into place and write ``plan.json`` last."""
    if (folder / PLAN).exists():
        there = open_archive(folder)
        if there.plan.id != plan.id:
            raise ArchiveError(
                f"{folder}: found a plan of other images or of another model, expected none. Name another folder.",
                code="archive_exists",
            )
        return there
    shutil.rmtree(folder / MANIFEST, ignore_errors=True)  # of a plan that was interrupted
    for name in (MANIFEST, LEFT_OUT):
        (part / name).replace(folder / name)
    sync_names(folder / MANIFEST)
    sync_names(folder)
    write_record(folder / PLAN, plan)
    return Archive(folder, replace(plan))
