"""What ``edge-predict archive`` tells on stderr: counts, and on a terminal the progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from edge_runtime.archive.plan import Archive
from edge_runtime.archive.progress import ArchiveProgress
from edge_runtime.cli.output import tell
from edge_runtime.images.left_out import LeftOutReason

_SECONDS = 0.1
"""Time between two updates of the number of images found."""


def tell_plan(archive: Archive) -> None:
    """Tell the size of a plan and what is left out of it."""
    found = archive.plan
    tell(f"{archive.folder}: {_many(found.records, 'image')} in {_many(found.shards, 'shard')}, {found.model.name}.")
    tell_left_out(archive)


def tell_progress(archive: Archive, done: ArchiveProgress) -> None:
    """Tell how many shards and images are finished."""
    tell(
        f"{archive.folder}: {done.shards} of {_many(archive.plan.shards, 'shard')} finished; "
        f"{done.rows - done.failed} answered, {done.failed} failed, {done.missing_rows} missing."
    )


def tell_left_out(archive: Archive) -> None:
    """Tell the number of files that are left out, by reason."""
    counts = archive.plan.left_out
    if counts:
        parts = [f"{counts[reason.value]} {reason.words}" for reason in LeftOutReason if reason.value in counts]
        tell(f"left out: {', '.join(parts)} (left_out.jsonl).")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@contextmanager
def scoring_bar(images: int) -> Iterator[Callable[[int], object]]:
    """Show a bar and the time left on a terminal. Yield what is called with the images of each finished shard."""
    if not sys.stderr.isatty():
        yield bool
        return
    with click.progressbar(length=images, label="scoring", file=sys.stderr) as bar:
        yield bar.update


@contextmanager
def found_counter() -> Iterator[Callable[[int], object]]:
    """Show the number of images found on a terminal. Yield what is called with the number so far."""
    if not sys.stderr.isatty():
        yield bool
        return
    shown = [0.0]

    def show(count: int) -> None:
        if time.monotonic() - shown[0] > _SECONDS:
            shown[0] = time.monotonic()
            click.echo(f"\rfound {count} images", err=True, nl=False)

    try:
        yield show
    finally:
        if shown[0]:
            click.echo("\r\033[K", err=True, nl=False)
