"""Exit statuses of the commands, and the handling of errors that stop a command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from edge_runtime.cli.output import READER_GONE, open_closed_descriptors, output_error, tell
from edge_runtime.errors import EdgeError, MachineError
from edge_runtime.platform.escaped_names import shown
from edge_runtime.platform.machine_faults import machine_faults

EXIT_SOME_FAILED = 1
EXIT_SIGNAL = 128
"""Added to a signal's number, as a shell does: 130 for Ctrl-C (SIGINT), 143 for SIGTERM."""

EXIT_CODES = """\b
Exit status:
  0    every image was answered, or a watch ended
  1    some images failed, or have a kind that folders leave out (DICOM);
       the others were answered
  2    the command line or the results file is invalid
  3    the model is missing, altered, from a newer release, or not signed by
       the trusted key
  4    no interpreter can run the model here
  5    an answer, or the audit log, could not be written: stdout is closed, or
       the disk is full
  6    the machine failed (memory, descriptors, I/O); run the command again,
       the answers so far are valid
  130  interrupted; the output so far is complete (143: SIGTERM)"""


def leave_with(failed: int, of_machine: int) -> None:
    """Exit with 6 if the machine failed, with 1 if images failed; otherwise return."""
    if of_machine:
        sys.exit(MachineError.exit_code)
    if failed:
        sys.exit(EXIT_SOME_FAILED)


@contextmanager
def stops_command() -> Iterator[None]:
    """Print an :class:`EdgeError` or a fault of the machine on stderr, and exit with its status."""
    try:
        with machine_faults("edge-predict"):
            yield
    except EdgeError as error:
        if error.code != READER_GONE:
            tell(f"error [{error.code}]: {error.message}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        tell("interrupted; every result printed or written so far is complete.")
        sys.exit(130)


class Command(click.Command):
    """A command of this package. It escapes its arguments in messages, and exits with 5 if stdout is closed."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run as a program, with descriptors 0 to 2 open (:func:`edge_runtime.cli.output.open_closed_descriptors`)."""
        open_closed_descriptors()
        return super().main(*args, **extra)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the command line. Stdout may be closed when click prints ``--help``."""
        try:
            return super().make_context(*args, **extra)
        except click.UsageError as error:
            raise click.UsageError(shown(error.format_message()), error.ctx) from None
        except OSError as error:
            with stops_command():
                raise output_error(error) from None


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command
