"""The options of an audit log, and the recording of a command's run in it (docs/how-to/audit.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge_runtime.assurance.audit.recorder import NO_RECORDER, PERIOD_S, Recorder
from edge_runtime.cli.output import progress, tell
from edge_runtime.cli.parameters import FilePath
from edge_runtime.errors import AuditError, AuditWriteError, EdgeError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.assurance.answering import Answers
    from edge_runtime.assurance.audit.events import Event
    from edge_runtime.predictor import Predictor

AUDIT_LOG, AUDIT_PERIOD, AUDIT_KEY = "EDGE_AUDIT_LOG", "EDGE_AUDIT_PERIOD", "EDGE_AUDIT_KEY"
"""Environment variables in place of the options."""
_FILE = FilePath(dir_okay=False)

Command = TypeVar("Command", bound=Callable[..., Any])
Tell = Callable[[EdgeError], object]

audit_option = click.option(
    "--audit",
    type=_FILE,
    metavar="FILE",
    envvar=AUDIT_LOG,
    show_envvar=True,
    help="Record in this audit log what was done, and when.",
)
RECORDING = (
    audit_option,
    click.option(
        "--audit-period",
        type=click.FloatRange(0, 86_400),
        default=PERIOD_S,
        show_default=True,
        metavar="SECONDS",
        envvar=AUDIT_PERIOD,
        show_envvar=True,
        help="Time between two counts of answers in the audit log; 0 for an entry for each answer.",
    ),
    click.option(
        "--audit-key",
        type=_FILE,
        metavar="FILE",
        envvar=AUDIT_KEY,
        show_envvar=True,
        help="A secret; with it, the audit log has a keyed hash of the answers.",
    ),
)
"""The options of a command that answers."""


def recording_options(command: Command) -> Command:
    """Add the options of a command that answers."""
    for option in reversed(RECORDING):
        command = option(command)
    return command


@contextmanager
def recording(
    command: str, log: Path | None, period_s: float, key: Path | None, *, say: Tell | None = None
) -> Iterator[Recorder]:
    """Record the start of a run, give its recorder, and record its end with its exit status.

    Args:
        command: name of the command.
        log: the audit log; None for none.
        period_s: seconds between two summaries.
        key: file of the key for keyed hashes.
        say: receives the error when the log cannot be written while the command runs; by default it is printed.

    Raises:
        AuditError, AuditWriteError: the log cannot be written at the start, so nothing is answered; or at the end.
    """
    if log is None:
        yield NO_RECORDER
        return
    from edge_runtime.assurance.audit.keyed_hash import read_key
    from edge_runtime.assurance.audit.log_recorder import AuditSettings, LogRecorder

    secret = None if key is None else read_key(key)
    recorder = LogRecorder(AuditSettings(log, period_s, secret), command, say or _tell_fault)
    try:
        yield recorder
    except BaseException as error:
        _stop(recorder, error)
        raise
    recorder.stop(0)


def counted_progress(recorder: Recorder, predictor: Predictor) -> Callable[[Answers, int], Answers]:
    """Record that a model answers from now on; return the progress of its answers, which also counts them."""
    recorder.admit(predictor)

    def shown(found: Answers, count: int) -> Answers:
        return progress(recorder.through(found, lambda answer: answer, predictor.digest), count)

    return shown


def _stop(recorder: Recorder, error: BaseException) -> None:
    """Record how the run ended.

    Raises:
        AuditError, AuditWriteError: that could not be written, and there is no worse error to report.
    """
    status, code = 1, None
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif isinstance(error, EdgeError):
        status, code = error.exit_code, error.code
    elif isinstance(error, KeyboardInterrupt):
        status = 130
    try:
        recorder.stop(status, code)
    except (AuditError, AuditWriteError) as fault:
        if isinstance(error, SystemExit):
            raise
        tell(f"error [{fault.code}]: {fault.message}")


Record = Callable[[Callable[[], "Event"]], None]


@contextmanager
def change_recorded(log: Path | None) -> Iterator[Record]:
    """Give a function that records the event which another function returns. Without a log, it calls neither.

    The log is opened before, so that no change is made that cannot be recorded.

    Raises:
        AuditError, AuditWriteError: the log cannot be written; before the context, nothing was changed.
    """
    if log is None:
        yield lambda event: None
        return
    from edge_runtime.assurance.audit.log import AuditLog

    opened = AuditLog(log)
    opened.require_writable()

    def record(event: Callable[[], Event]) -> None:
        opened.append([event()])

    yield record


def _tell_fault(error: EdgeError) -> None:
    if sys.stderr is not None:
        tell(f"error [{error.code}]: {error.message} Answers go on; the log will say what it missed.")
