"""The command ``edge-predict archive``: plan, run, watch over and merge the results of an archive."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.archive.engines import EngineKind, open_engine
from edge_runtime.archive.merging import lines, merge
from edge_runtime.archive.plan import Archive, PlannedModel, open_archive
from edge_runtime.archive.planning import SHARD_SIZE, plan_archive
from edge_runtime.archive.running import ArchiveProgress, progress_of, run_archive
from edge_runtime.archive.scoring import score_shard
from edge_runtime.archive.shard import finished
from edge_runtime.assurance.audit.recorder import PERIOD_S, Recorder
from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.cli.exit_codes import Group, leave_with, stops_command
from edge_runtime.cli.options import model_options
from edge_runtime.cli.output import require_stdout, say, tell
from edge_runtime.cli.recording import audit_option, recording
from edge_runtime.images.left_out import LeftOutReason
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.backends.registry import ran_by
from edge_runtime.predictor import Predictor

if TYPE_CHECKING:
    from edge_runtime.assurance.audit.events import ModelAdmitted

_HELP = {"help_option_names": ["-h", "--help"]}
_EXIT_CODES = """\b
Exit status:
  0    done; no image failed
  1    some images have an error in their row, or DICOM files were left out
  2    the command line, a source, the plan or a shard cannot be used
  3    the model is missing, altered, or not the planned one
  4    no interpreter can run the model here
  5    a file could not be written
  6    the machine or the engine failed, shards are missing; run it again
  130  interrupted; every finished shard is complete"""
_FOLDER = click.Path(path_type=Path)


@click.group(cls=Group, context_settings=_HELP, epilog=_EXIT_CODES)
def main() -> None:
    """Score archives of any size, on one machine or many.

    Plan the shards, run them on an engine, and merge the results.
    Needs the extra "archive" (and "ray" or "dask").
    """


@main.command(context_settings=_HELP, epilog=_EXIT_CODES)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--out", type=_FOLDER, required=True, metavar="DIR", help="Folder of the plan and of its results.")
@click.option(
    "--shard-size",
    type=click.IntRange(1, 1_000_000),
    default=SHARD_SIZE,
    show_default=True,
    help="Images in one shard.",
)
@click.option("--column", metavar="NAME", help="Column with the images, in Parquet files that have several.")
@click.option(
    "--frame",
    type=click.Choice([choice.value for choice in FrameChoice]),
    help="Classify all frames of a DICOM file as one case. Otherwise files of several frames are refused.",
)
@model_options
def plan(
    sources: tuple[str, ...],
    out: Path,
    shard_size: int,
    column: str | None,
    frame: str | None,
    model: str | None,
    backend: str,
    provider: str,
    precision: str,
    trusted_key: Path | None,
    site_policy: Path | None,
    threads: int,
) -> None:
    """Find the images of every SOURCE and divide them into shards.

    A SOURCE is a folder, an image, a list (.txt, or - for stdin), a tar file or
    WebDataset shard, a Parquet file with images, a zipped DICOM study, or a URL
    that fsspec reads, such as s3://bucket/folder.
    """
    chosen = Runtime(backend), Precision(precision), Provider(provider)
    with (
        stops_command(),
        Predictor.load(
            model,
            backend=chosen[0],
            precision=chosen[1],
            threads=threads,
            trusted_key=trusted_key,
            provider=chosen[2],
            site_policy=site_policy,
        ) as predictor,
    ):
        counter = _Counter()
        planned = plan_archive(
            sources,
            out,
            predictor,
            shard_size=shard_size,
            column=column,
            frame=None if frame is None else FrameChoice(frame),
            seen=counter.show,
        )
        counter.end()
        found = planned.plan
        tell(f"{out}: {_many(found.records, 'image')} in {_many(found.shards, 'shard')}, {found.model.name}.")
        _tell_left_out(planned)


@main.command(context_settings=_HELP, epilog=_EXIT_CODES)
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option(
    "--engine",
    type=click.Choice([kind.value for kind in EngineKind]),
    default=EngineKind.LOCAL.value,
    show_default=True,
    help="What runs the shards.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Worker processes here. The default is one per core.")
@click.option("--address", metavar="ADDRESS", help="A running cluster of Ray or Dask, instead of processes here.")
@click.option("--shard", type=click.IntRange(0), metavar="N", help="Run this shard alone, in this process.")
@click.option("--stride", type=click.IntRange(1), metavar="M", help="With --shard N, also run N+M, N+2M and so on.")
@audit_option
def run(
    folder: Path,
    engine: str,
    workers: int | None,
    address: str | None,
    shard: int | None,
    stride: int | None,
    audit: Path | None,
) -> None:
    """Score the missing shards of a planned archive.

    It can be stopped and started at any time; a finished shard is not run
    again. With --shard N, any scheduler can start one process for each shard.
    """
    if shard is not None and (workers or address or engine != EngineKind.LOCAL.value):
        raise click.UsageError("--shard runs in this process. Remove --engine, --workers and --address.")
    if stride is not None and shard is None:
        raise click.UsageError("--stride needs --shard.")
    if address is not None and engine == EngineKind.LOCAL.value:
        raise click.UsageError("--address needs --engine ray or --engine dask.")
    with stops_command():
        archive = open_archive(folder)
        with recording("edge-predict archive run", audit, PERIOD_S, None) as recorder:
            recorder.admit_model(lambda: _admitted(archive.plan.model))
            if shard is not None:
                archive.check_shard(shard)
                for number in range(shard, archive.plan.shards if stride else shard + 1, stride or 1):
                    score_shard(str(folder), number)
                    _count(recorder, archive, _of_shard(archive, number))
                return
            before = progress_of(archive)
            faults = _run(archive, before, EngineKind(engine), workers, address)
            done = progress_of(archive)
            _count(recorder, archive, ArchiveProgress(0, done.rows - before.rows, done.failed - before.failed))
            _tell_progress(archive, done)
            for fault in faults:
                tell(f"not finished: {fault}")
            leave_with(done.failed + _expected(archive), archive.plan.shards - done.shards)


def _admitted(model: PlannedModel) -> ModelAdmitted:
    from edge_runtime.assurance.audit.events import ModelAdmitted

    backend = ran_by(model.backend, model.provider)
    names = model.name, model.version, model.bundle, model.contract
    return ModelAdmitted(*names, backend, model.precision.value)


def _of_shard(archive: Archive, shard: int) -> ArchiveProgress:
    found = finished(archive, shard)
    return ArchiveProgress() if found is None else ArchiveProgress(1, found.rows, found.failed)


def _count(recorder: Recorder, archive: Archive, done: ArchiveProgress) -> None:
    """Count the images of finished shards; their decisions are in the shards alone."""
    bundle = archive.plan.model.bundle
    recorder.count(bundle, decision="ANSWERED", times=done.rows - done.failed)
    recorder.count(bundle, failure="FAILED", times=done.failed)


def _run(
    archive: Archive, before: ArchiveProgress, kind: EngineKind, workers: int | None, address: str | None
) -> list[str]:
    """Run the missing shards, with a progress bar and the time left on a terminal."""
    if before.shards == archive.plan.shards:
        return []
    opened = open_engine(kind, workers, address)
    if not sys.stderr.isatty():
        return run_archive(archive, opened)
    with click.progressbar(length=archive.plan.records - before.rows, label="scoring", file=sys.stderr) as bar:
        return run_archive(archive, opened, bar.update)


@main.command(context_settings=_HELP, epilog=_EXIT_CODES)
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(folder: Path, as_json: bool) -> None:
    """Count the finished shards of an archive, by their files."""
    with stops_command():
        require_stdout()
        archive = open_archive(folder)
        done = progress_of(archive)
        left = _seconds_left(archive, done)
        if as_json:
            say(json.dumps(_status(archive, done, left)))
        else:
            for name, value in _status(archive, done, left).items():
                say(f"{name:13} {value}")


def _status(archive: Archive, done: ArchiveProgress, left: float | None) -> dict[str, object]:
    found = archive.plan
    return {
        "model": f"{found.model.name} {found.model.version}",
        "bundle": found.model.bundle,
        "shards": found.shards,
        "shards_done": done.shards,
        "images": found.records,
        "images_done": done.rows,
        "failed": done.failed,
        "left_out": sum(found.left_out.values()),
        "seconds_left": None if left is None else round(left),
    }


def _seconds_left(archive: Archive, done: ArchiveProgress) -> float | None:
    """Return the time left at the rate of the last shards; None if too few are finished, 0 if all are."""
    if done.shards == archive.plan.shards:
        return 0.0
    times = sorted(path.stat().st_mtime for path in archive.folder.glob("shards/*/*.parquet"))[-_LAST:]
    if len(times) < 2 or times[0] >= (now := time.time()):
        return None
    return (archive.plan.shards - done.shards) * (now - times[0]) / (len(times) - 1)


_LAST = 50
"""Shards whose times give the rate of a run."""


@main.command("merge", context_settings=_HELP, epilog=_EXIT_CODES)
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--out", type=_FOLDER, metavar="FILE", help="A .parquet file or JSON lines; by default lines on stdout.")
def merge_command(folder: Path, out: Path | None) -> None:
    """Join the results of all shards, in the order of the plan."""
    with stops_command():
        archive = open_archive(folder)
        done = progress_of(archive)
        if out is not None:
            merge(archive, out)
        else:
            require_stdout()
            for line in lines(archive):
                say(line)
        _tell_progress(archive, done)
        _tell_left_out(archive)
    leave_with(done.failed + _expected(archive), 0)


def _tell_progress(archive: Archive, done: ArchiveProgress) -> None:
    found = archive.plan
    tell(
        f"{archive.folder}: {done.shards} of {_many(found.shards, 'shard')} finished; "
        f"{done.rows - done.failed} answered, {done.failed} failed, {found.records - done.rows} missing."
    )


def _tell_left_out(archive: Archive) -> None:
    counts = archive.plan.left_out
    if counts:
        parts = [f"{counts[reason.value]} {reason.words}" for reason in LeftOutReason if reason.value in counts]
        tell(f"left out: {', '.join(parts)} (left_out.jsonl).")


def _expected(archive: Archive) -> int:
    """Return the number of left-out files for which a user expects a result."""
    return sum(count for name, count in archive.plan.left_out.items() if LeftOutReason(name).expects_answer)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class _Counter:
    """The number of images found, on a terminal."""

    def __init__(self) -> None:
        self._shown = 0.0

    def show(self, count: int) -> None:
        """Show the number, at most ten times a second."""
        if sys.stderr.isatty() and time.monotonic() - self._shown > 0.1:
            self._shown = time.monotonic()
            click.echo(f"\rfound {count} images", err=True, nl=False)

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)
