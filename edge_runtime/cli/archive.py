"""The command ``edge-predict archive``: plan, run, watch over and merge the results of an archive."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_runtime.archive.engines import EngineKind, open_engine
from edge_runtime.archive.merging import lines, merge
from edge_runtime.archive.plan import open_archive
from edge_runtime.archive.planning import SHARD_SIZE, plan_archive
from edge_runtime.archive.progress import progress_of, progress_of_all, status_of
from edge_runtime.archive.running import run_archive
from edge_runtime.archive.scoring import score_shard
from edge_runtime.assurance.audit.recorder import PERIOD_S
from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.bundle.runtime_manifest import Precision
from edge_runtime.cli.archive_audit import admitted, count_rows, count_shard
from edge_runtime.cli.archive_output import found_counter, scoring_bar, tell_left_out, tell_plan, tell_progress
from edge_runtime.cli.exit_codes import Group, leave_with, stops_command
from edge_runtime.cli.options import model_options
from edge_runtime.cli.output import require_stdout, say, tell
from edge_runtime.cli.recording import audit_option, recording
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.predictor import Predictor

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
    with (
        stops_command(),
        Predictor.load(
            model,
            backend=Runtime(backend),
            precision=Precision(precision),
            threads=threads,
            trusted_key=trusted_key,
            provider=Provider(provider),
            site_policy=site_policy,
        ) as predictor,
    ):
        choice = None if frame is None else FrameChoice(frame)
        with found_counter() as seen:
            planned = plan_archive(
                sources, out, predictor, shard_size=shard_size, column=column, frame=choice, seen=seen
            )
        tell_plan(planned)


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
            recorder.admit_model(lambda: admitted(archive.plan.model))
            if shard is not None:
                archive.check_shard(shard)
                for number in range(shard, archive.plan.shards if stride else shard + 1, stride or 1):
                    score_shard(str(folder), number)
                    count_shard(recorder, archive, number)
                return
            before, faults = progress_of(archive), list[str]()
            if before.missing_shards:
                opened = open_engine(EngineKind(engine), workers, address)
                with scoring_bar(before.missing_rows) as progress:
                    faults = run_archive(archive, opened, progress)
            done = progress_of(archive)
            count_rows(recorder, archive, done.rows - before.rows, done.failed - before.failed)
            tell_progress(archive, done)
            for fault in faults:
                tell(f"not finished: {fault}")
            leave_with(done.without_answer, done.missing_shards)


@main.command(context_settings=_HELP, epilog=_EXIT_CODES)
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(folder: Path, as_json: bool) -> None:
    """Count the finished shards of an archive, by their files."""
    with stops_command():
        require_stdout()
        found = status_of(open_archive(folder))
        if as_json:
            say(json.dumps(found))
        else:
            for name, value in found.items():
                say(f"{name:13} {value}")


@main.command("merge", context_settings=_HELP, epilog=_EXIT_CODES)
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--out", type=_FOLDER, metavar="FILE", help="A .parquet file or JSON lines; by default lines on stdout.")
def merge_command(folder: Path, out: Path | None) -> None:
    """Join the results of all shards, in the order of the plan."""
    with stops_command():
        archive = open_archive(folder)
        done = progress_of_all(archive)
        if out is not None:
            merge(archive, out)
        else:
            require_stdout()
            for line in lines(archive):
                say(line)
        tell_progress(archive, done)
        tell_left_out(archive)
    leave_with(done.without_answer, 0)
