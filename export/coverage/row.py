"""One row of the coverage table: the formats of a network on each interpreter, or the refusal."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.quantisation import without_int8
from export.validation.tflite_runtime_environment import RUNTIME, GoldenReplay


class Outcome(enum.Enum):
    """What happened to a network."""

    EXPORTED = "exported"  # each file in the bundle is in parity with the Keras network
    REFUSED = "refused"  # with one sentence
    FAULT = "fault"  # an error that is no sentence: library text, a traceback, or a crash
    NOT_MEASURED = "not measured"  # a limit of time or memory of the measurement


@dataclass(frozen=True)
class Cell:
    """One file on one interpreter.

    Attributes:
        file: for example ``model.int8.tflite``.
        runtime: ``litert``, ``onnxruntime`` or ``tflite``.
        logit_max: largest |Δ logit| from the Keras network; None if there is no answer or it was not recorded.
        remark: why there is no file, or why it does not run; on tflite-runtime the result of the self-test.
    """

    file: str
    runtime: str
    logit_max: float | None
    remark: str = ""


@dataclass(frozen=True)
class Row:
    """A network's row.

    Attributes:
        name, group: as of :class:`export.coverage.subject.Subject`.
        text: the refusal or fault; the limit for a network that was not measured.
        seconds: wall time of the export; other work may have run beside it.
        processor_seconds: processor time of the export, all processes together; None if it was not recorded.
        peak_mib: largest resident memory of the export.
        machine: versions and processor.
    """

    name: str
    group: str
    outcome: Outcome
    text: str
    cells: tuple[Cell, ...]
    seconds: float
    processor_seconds: float | None
    peak_mib: int
    machine: str


def cells(manifest: Manifest, replayed: tuple[GoldenReplay, ...]) -> tuple[Cell, ...]:
    """Return the cells of a bundle; ``replayed`` are the results of tflite-runtime."""
    found = [Cell(row.file, row.runtime, row.logit_max) for row in manifest.parity]
    found += [Cell(file, "", None, reason) for file, reason in without_int8(manifest.attempts).items()]
    for row in replayed:
        found.append(Cell(row.file, RUNTIME, row.keras_difference, row.remark))
    return tuple(found)


_LIBRARY = ("Traceback", "error: loc(", "error: '", "callsite(", "NodeDef", 'File "', "mlir")
"""Signs of text that a library wrote."""

_MOST = 600
"""Most characters of a refusal; the longest of the project's own sentences has about 400."""


def refusal(error: str) -> str | None:
    """Return the one line of an error that ends a command, without its prefix; None if it is not one plain line."""
    lines = [line for line in error.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    stray = [line for line in lines[:-1] if any(sign in line for sign in _LIBRARY)]
    if not last.startswith("error: ") or stray:
        return None
    text = last.removeprefix("error: ")
    return None if len(text) > _MOST or any(sign in text for sign in _LIBRARY) or r"\n" in text else text
