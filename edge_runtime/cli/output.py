"""One line on stdout, at once, on whatever terminal this is."""

from __future__ import annotations

import sys

import click

from edge_runtime.errors import OutputError


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
        raise OutputError(
            f"stdout: could not be written ({error.strerror}); the last line may be torn. Make room and start again; "
            "with --output FILE nothing is lost and --resume goes on."
        ) from None
