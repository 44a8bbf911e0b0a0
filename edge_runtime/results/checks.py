"""A results file opened for appending, and what is wrong with one that cannot be."""

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
    """Open or make the file.

    Raises:
        ResultsError: ``results_exists``, ``results_in_use`` or ``results_unusable``.
        MachineError: memory, descriptors or I/O failed.
    """
    try:
        return Durable(path, existing=existing)
    except FileExistsError:
        kind, text = "exists", "exists. Go on with it (--resume), or name another file."
    except InUseError:
        kind, text = "in_use", "another edge-predict writes to it. Wait for that one, or name another file."
    except OSError as error:
        if fault := machine_error(error, str(path)):
            raise fault from None
        kind, text = "unusable", f"found {error.strerror}, expected a file that can be written. Name another."
    raise results_error(path, kind, text)


def check_origin(path: Path, number: int, line: Line, origin: Origin) -> None:
    """Refuse a line of another model, bundle or thresholds: ``results_other_model``."""
    if line.origin is not None and line.origin != origin:
        found = "; ".join(line.origin.differences(origin))
    elif line.bundle != origin.bundle:
        found = f"bundle {line.bundle}, not {origin.bundle}"
    else:
        return
    text = f"line {number} is of {found}: one file holds the answers of one model. Name another file."
    raise results_error(path, "other_model", text)


def check_model(path: Path, number: int, line: Line, origin: Origin) -> None:
    """Refuse a line of a model of another name: ``results_other_model``; its versions may share a file."""
    if line.origin is not None and line.origin.model != origin.model:
        text = f"line {number} is of model {line.origin.model}, not {origin.model}. Name another file."
        raise results_error(path, "other_model", text)


def check_kind(path: Path, line: Line, *, watching: bool) -> None:
    """Refuse a line that was written with --watch where that is not wanted, and the other way round."""
    if (line.identity.file is not None) != watching:
        found, expected = ("with", "without") if line.identity.file else ("without", "with")
        text = f"found answers written {found} --watch, expected {expected}. Name another file."
        raise results_error(path, "other_kind", text)


def check_release(path: Path, entry: ResultsEntry) -> None:
    """Refuse a line of another release: what it means may have changed."""
    if entry.release:
        text = f"line {entry.number} was written by another release ({entry.release}, this one writes {SCHEMA})."
        raise results_error(path, "other_release", f"{text} Name another file.")


def damaged(path: Path, entry: ResultsEntry) -> ResultsError:
    """Return the error of a file whose damage does not end it, or that never was a results file."""
    text = f"line {entry.number} is no answer of edge-predict ({entry.fault}). Name another file, or mend that line."
    return results_error(path, "damaged", text)


def results_error(path: Path, kind: str, text: str) -> ResultsError:
    """Return an error with the code ``results_KIND``."""
    return ResultsError(f"{path}: {text}", code=f"results_{kind}")


def write_error(path: Path, error: OSError, count: int) -> EdgeError:
    """Return the error of a file that takes no more, after ``count`` lines."""
    return ResultsWriteError(
        f"{path}: could not be written ({error.strerror}); the {count} answers in it are whole. "
        "Make room, then go on with the same command and --resume."
    )
