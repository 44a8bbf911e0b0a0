"""One line on stdout, at once, on whatever terminal this is; and files that are whole or not there."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from edge_runtime.errors import OutputError, UsageError


def say(text: str) -> None:
    """Print ``text``; characters that stdout cannot write are escaped, as in a path that is no Unicode.

    Raises:
        BrokenPipeError: the reader has gone, as ``head`` does; click ends the command in silence.
        OutputError: it could not be written for another reason.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard()
        raise OutputError(
            f"stdout: could not be written ({error.strerror}); the last line may be torn. Make room and start again; "
            "with --output FILE nothing is lost and --resume goes on."
        ) from None


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file as a whole: whatever happens, it is the old one or the new one.

    Raises:
        UsageError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}). Name a file in a folder that exists."
        ) from None


def _discard() -> None:
    """Lead stdout to nowhere: what is still buffered would fail once more at exit, and change the status."""
    with suppress(OSError):  # stdout may be no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
