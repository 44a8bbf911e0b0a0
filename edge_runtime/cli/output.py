"""Output to stdout, stderr and files: unbuffered, escaped text, a progress bar, and atomic file writes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, TypeVar

import click

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.platform.atomic_files import write_whole
from edge_runtime.platform.escaped_names import shown, shown_lines

if TYPE_CHECKING:
    from pathlib import Path

Answer = TypeVar("Answer")

READER_GONE = "output_reader_gone"
"""Error code where the reader of stdout has ended, as ``head`` does. No message is printed for it."""


def say(text: str, end: str = "\n") -> None:
    """Print ``text`` to stdout. Control characters, and characters that stdout cannot encode, are escaped.

    Raises:
        OutputError: stdout cannot be written. The code is READER_GONE if the reader of the pipe has ended.
    """
    try:
        click.echo(_writable(shown_lines(text), sys.stdout) + end, nl=False)
        sys.stdout.flush()
    except OSError as error:
        raise output_error(error) from None


def tell(text: str) -> None:
    """Print one line on stderr, escaped in the same way. Do nothing if stderr is closed or full."""
    if sys.stderr is None:  # closed when the program started
        return
    try:
        click.echo(_writable(shown(text), sys.stderr), err=True)
    except OSError:
        _discard(sys.stderr)


def output_error(error: OSError) -> OutputError:
    """Return the :class:`OutputError` for a failed write to stdout, and discard the buffered text."""
    _discard(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return OutputError("stdout: its reader has ended.", code=READER_GONE)
    if error.errno == errno.EBADF:
        return OutputError(
            "stdout: found it closed, expected a file, pipe or terminal. Redirect it to one of these or to /dev/null."
        )
    return OutputError(
        f"stdout: could not be written ({error.strerror}); the last line may be incomplete. Free space and run the "
        "command again; with --output FILE, --resume continues without loss."
    )


def require_stdout() -> None:
    """Check that stdout is open before any image is processed.

    Raises:
        OutputError: stdout is closed or opened only for reading.
    """
    try:
        os.write(sys.stdout.fileno(), b"")
    except OSError as error:  # in a notebook or a test, stdout is not a file and the error has no errno
        if error.errno == errno.EBADF:
            raise output_error(error) from None


def open_closed_descriptors() -> None:
    """Open descriptors 0, 1 and 2 on the null device where they are closed.

    Otherwise a results file could get descriptor 1 or 2, and printed text would go into it. A missing stdout is opened
    for reading only, so that writing to it still fails.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)  # uses the lowest free descriptor
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def write_file(path: Path, data: bytes | Callable[[Path], object]) -> None:
    """Write an output file atomically: bytes, or what a function writes to the path that it is given.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}). Name a file in a folder that exists."
        ) from None


def require_folder(path: Path) -> None:
    """Check that the folder of an output file exists, before the work whose result it takes.

    Raises:
        UsageError: it does not.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path}: found no folder {path.parent}, expected one. Name a file in a folder that exists.")


def shows_progress() -> bool:
    """Return whether stderr is a terminal, which shows a progress bar."""
    return sys.stderr is not None and sys.stderr.isatty()


def progress(found: Iterator[Answer], count: int) -> Iterator[Answer]:
    """Yield the results, with a progress bar on stderr if it is a terminal."""
    if count < 2 or not shows_progress():
        yield from found
        return
    with click.progressbar(found, length=count, label="answering", file=sys.stderr) as bar:
        yield from bar


def _writable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _discard(stream: TextIO) -> None:
    """Redirect a stream to the null device. Otherwise its buffer fails again at exit and changes the exit status."""
    with suppress(OSError):  # the stream may not be a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
