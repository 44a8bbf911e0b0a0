"""Export each network with the command that people use, and append its row to the record."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2

import export
from edge_runtime.bundle.bundle import find
from edge_runtime.selftest.machine import this_machine
from edge_runtime.serialisation.records import write_record
from export.converters.isolation import in_own_process
from export.coverage import limited
from export.coverage.elsewhere import write_elsewhere
from export.coverage.limited import Ended
from export.coverage.record import Record, read
from export.coverage.row import Cell, Outcome, Row, cells, refusal
from export.coverage.settling import drawn
from export.coverage.subject import IMAGES, Subject, write
from export.errors import ConversionError
from export.validation import tflite_runtime_environment
from training.versions import versions

_PACKAGES = ("tensorflow", "keras", "tf2onnx", "ai-edge-litert", "onnxruntime", "numpy")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
_SEEDS = {"calibration": 1, "parity": 2}
_END = 2000


@dataclass(frozen=True)
class CoverageOptions:
    """Options of the table.

    Attributes:
        out: the record, a file of JSON lines. A network that has a row there is not measured again, unless a limit
            stopped it.
        again: measure also networks that have a row; the new row counts.
        other_python: Python of an environment with this package's wheel and tflite-runtime; None skips tflite-runtime.
        releases: release of TensorFlow → Python of an environment with it.
        minutes: limit of one export.
        memory_gib: limit of one export.
    """

    out: Path
    again: bool = False
    other_python: Path | None = None
    releases: Mapping[str, Path] = field(default_factory=dict)
    minutes: float = 10.0
    memory_gib: float = 6.0


def measure(subjects: Iterable[Subject], options: CoverageOptions) -> Iterator[Row]:
    """Yield the row of each subject; a file of a release without a Python has no row.

    Raises:
        ExportError: the other Python has no tflite-runtime or no self-test, or the record cannot be used.
    """
    if options.other_python is not None:
        tflite_runtime_environment.check_python(options.other_python)
    record = Record(options.out)
    try:
        known = {} if options.again else _measured(options.out)
        for subject in subjects:
            if subject.name in known:
                yield known[subject.name]
            elif not subject.release or subject.release in options.releases:
                row = _row(subject, options)
                record.append(row)
                yield row
    finally:
        record.close()


def _measured(record: Path) -> dict[str, Row]:
    """Return the recorded rows without those that a limit stopped: another run may have more time or memory."""
    return {name: row for name, row in read(record).items() if row.outcome is not Outcome.NOT_MEASURED}


def _row(subject: Subject, options: CoverageOptions) -> Row:
    with tempfile.TemporaryDirectory(prefix="coverage.") as folder:
        work = Path(folder)
        model = work / f"model{subject.ending}"
        try:
            _write(subject, model, options)
        except (ConversionError, RuntimeError) as error:
            text = f"Keras cannot build or save it: {str(error).splitlines()[0][:300]}"
            return _made(subject, Outcome.NOT_MEASURED, text, (), Ended(None, "", 0.0, 0.0, 0))
        bundle = work / "bundle"
        ended = limited.run(
            _command(subject, model, work),
            os.environ | _ONE_THREAD | {"PYTHONPATH": str(Path(export.__file__).parents[1])},
            work / "log",
            options.minutes * 60,
            int(options.memory_gib * 2**30),
        )
        found: tuple[Cell, ...] = ()
        if ended.status == 0:
            outcome, text = Outcome.EXPORTED, ""
            found = _cells(bundle, options.other_python)
        elif ended.limit:
            outcome, text = Outcome.NOT_MEASURED, ended.limit
        else:
            said = ended.error.replace(f"{work}{os.sep}", "")
            sentence = refusal(said)
            outcome = Outcome.FAULT if sentence is None else Outcome.REFUSED
            text = said[-_END:] if sentence is None else sentence
        return _made(subject, outcome, text, found, ended)


def _made(subject: Subject, outcome: Outcome, text: str, found: tuple[Cell, ...], ended: Ended) -> Row:
    packages = ", ".join(f"{name} {version}" for name, version in versions(_PACKAGES).items())
    here = this_machine()
    return Row(
        name=subject.name,
        group=subject.group,
        outcome=outcome,
        text=text,
        cells=found,
        seconds=round(ended.seconds, 1),
        processor_seconds=round(ended.processor_seconds, 1),
        peak_mib=ended.peak_bytes >> 20,
        machine=f"{packages}; {here.processor} ({here.architecture}), {platform.system()}",
    )


def _write(subject: Subject, model: Path, options: CoverageOptions) -> None:
    """Write the model, the spec and the images."""
    if isinstance(subject.build, str):
        write_elsewhere(options.releases[subject.release], subject.build, model)
    else:
        in_own_process(write, subject, str(model))
    write_record(model.parent / "spec.json", subject.spec())
    for name, seed in _SEEDS.items():
        folder = model.parent / name
        folder.mkdir()
        for number, image in enumerate(drawn(IMAGES, subject.side, seed)):
            cv2.imwrite(str(folder / f"{number:03d}.png"), image[..., ::-1])


def _command(subject: Subject, model: Path, work: Path) -> list[str]:
    command = [sys.executable, "-m", "export", "bundle", str(model), "--spec", str(work / "spec.json"), "--float16"]
    for name in _SEEDS:
        command += [f"--{name}", str(work / name)]
    if subject.output:
        command += ["--output", subject.output]
    return [*command, "--out", str(work / "bundle")]


def _cells(bundle: Path, python: Path | None) -> tuple[Cell, ...]:
    manifest = find(bundle).manifest
    replayed = () if python is None else tuple(tflite_runtime_environment.replay(bundle, manifest, python))
    shutil.rmtree(bundle)
    return cells(manifest, replayed)
