"""Text and progress, at once, on whatever terminal this is; and files that are whole or not there."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO, TypeVar

import click

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.platform.escaped_names import shown, shown_lines

Answer = TypeVar("Answer")

READER_GONE = "output_reader_gone"
"""Code of the error of a reader that has enough, as ``head`` does: nothing need be said about it."""


def say(text: str, end: str = "\n") -> None:
    """Print ``text``; what controls a terminal, and what stdout cannot write, is escaped.

    Raises:
        OutputError: it could not be written; its code is READER_GONE where nobody reads any more.
    """
    try:
        click.echo(_writable(shown_lines(text), sys.stdout) + end, nl=False)
        sys.stdout.flush()
    except OSError as error:
        raise output_error(error) from None


def tell(text: str) -> None:
    """Print one line on stderr, escaped in the same way; in vain where stderr is closed or full."""
    if sys.stderr is None:  # closed when the program began
        return
    try:
        click.echo(_writable(shown(text), sys.stderr), err=True)
    except OSError:
        _discard(sys.stderr)


def output_error(error: OSError) -> OutputError:
    """Return what a failed write to stdout means; what is still buffered for it is thrown away."""
    _discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return OutputError("stdout: its reader has gone.", code=READER_GONE)
    if error.errno == errno.EBADF:
        return OutputError(
            "stdout: found it closed, expected a file, pipe or terminal. Lead it to one, or to /dev/null."
        )
    return OutputError(
        f"stdout: could not be written ({error.strerror}); the last line may be torn. Make room and start again; "
        "with --output FILE nothing is lost and --resume goes on."
    )


def require_stdout() -> None:
    """Notice a closed stdout before anything is computed for it.

    Raises:
        OutputError: stdout is closed, or was opened for reading alone.
    """
    try:
        os.write(sys.stdout.fileno(), b"")
    except OSError as error:  # in a notebook or a test it is no file, which has no errno
        if error.errno == errno.EBADF:
            raise output_error(error) from None


def open_closed_descriptors() -> None:
    """Let nothing that is opened later become stdin, stdout or stderr, where the program began without one of them.

    A results file would be written by whatever prints, else. Stdout stays one that refuses to be written.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)  # the lowest that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def write_file(path: Path, data: bytes) -> None:
    """Write a file that was asked for, as a whole.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}). Name a file in a folder that exists."
        ) from None


def progress(found: Iterator[Answer], count: int) -> Iterator[Answer]:
    """Pass answers on, with a bar on stderr if someone sees it."""
    if count < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield from found
        return
    with click.progressbar(found, length=count, label="answering", file=sys.stderr) as bar:
        yield from bar


def _writable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _discard(stream: TextIO) -> None:
    """Lead a stream to nowhere: what is still buffered would fail once more at exit, and change the status."""
    with suppress(OSError):  # it may be no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
