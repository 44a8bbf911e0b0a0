"""Checks of an existing results file, and the errors for files that cannot be used."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.errors import EdgeError, ResultsError, ResultsWriteError
from edge_runtime.inference.prediction import SCHEMA
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.results.append_only_file import Durable, InUseError
from edge_runtime.results.entries import ResultsEntry
from edge_runtime.results.lines import Origin
from edge_runtime.results.record import Line


def open_durable(path: Path, *, existing: bool) -> Durable:
    """Open or create the file.

    Raises:
        ResultsError: ``results_exists``, ``results_in_use`` or ``results_unusable``.
        MachineError: memory, file descriptors or I/O failed.
    """
    try:
        return Durable(path, existing=existing)
    except FileExistsError:
        kind, text = "exists", "found an existing file. Continue it with --resume, or name another file."
    except InUseError:
        kind, text = "in_use", "another edge-predict process writes to it. Wait for it to end, or name another file."
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        kind, text = "unusable", f"found {error.strerror}, expected a writable file. Name another file."
    raise results_error(path, kind, text)


def check_origin(path: Path, number: int, line: Line, origin: Origin) -> None:
    """Reject a line of another model, bundle or thresholds: ``results_other_model``."""
    if line.origin is not None and line.origin != origin:
        differences = "; ".join(line.origin.differences(origin))
    elif line.bundle != origin.bundle:
        differences = f"bundle {line.bundle}, not {origin.bundle}"
    else:
        return
    text = f"line {number} has {differences}: one file holds the answers of one model. Name another file."
    raise results_error(path, "other_model", text)


def check_model(path: Path, number: int, line: Line, origin: Origin) -> None:
    """Reject a line of a model with another name: ``results_other_model``. Versions of a model may share a file."""
    if line.origin is not None and line.origin.model != origin.model:
        text = f"line {number} has model {line.origin.model}, not {origin.model}. Name another file."
        raise results_error(path, "other_model", text)


def check_kind(path: Path, line: Line, *, watching: bool) -> None:
    """Reject a line written with --watch in a file without it, and the reverse: ``results_other_kind``."""
    if (line.identity.file is not None) != watching:
        found, expected = ("with", "without") if line.identity.file else ("without", "with")
        text = f"found answers written {found} --watch, expected {expected}. Name another file."
        raise results_error(path, "other_kind", text)


def check_release(path: Path, entry: ResultsEntry) -> None:
    """Reject a line of another release, as its format may differ: ``results_other_release``."""
    if entry.release:
        text = f"line {entry.number} was written by another release ({entry.release}, this one writes {SCHEMA})."
        raise results_error(path, "other_release", f"{text} Name another file.")


def damaged(path: Path, entry: ResultsEntry) -> ResultsError:
    """Return the error for a file with damage before valid lines, or for a file that is no results file."""
    text = f"line {entry.number} is not a valid result of edge-predict ({entry.fault}). Name another file or repair it."
    return results_error(path, "damaged", text)


def results_error(path: Path, kind: str, text: str) -> ResultsError:
    """Return an error with the code ``results_`` and ``kind``."""
    return ResultsError(f"{path}: {text}", code=f"results_{kind}")


def write_error(path: Path, error: OSError, count: int) -> EdgeError:
    """Return the error for a failed write to a file that contains ``count`` results."""
    return ResultsWriteError(
        f"{path}: could not be written ({error.strerror}); the {count} answers in it are complete. "
        "Free space, then continue with the same command and --resume."
    )
