"""Run a bundle's golden images on tflite-runtime, in another Python because tflite-runtime requires NumPy 1."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.selftest.certificate import Check
from edge_runtime.serialisation.records import from_json
from export.errors import ExportError

RUNTIME = "tflite"
_PROBE = "from edge_runtime.selftest.replay import replay_file; import tflite_runtime.interpreter"
_REPLAY = """\
import sys
from pathlib import Path
from edge_runtime.bundle.bundle import find
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.selftest.replay import replay_file
from edge_runtime.serialisation.records import write_record
bundle, file, runtime, out = sys.argv[1:]
write_record(Path(out), replay_file(find(Path(bundle)), file, Runtime(runtime)))
"""
_REMEDY = (
    "expected an environment with tflite-runtime and the wheel of this release: pip install edge_predict-*.whl[tflite]"
)
_LAST_CHARACTERS = 300


@dataclass(frozen=True)
class GoldenReplay:
    """One file's golden images on tflite-runtime.

    Attributes:
        images: number of golden images.
        keras_difference: largest |Δ logit| from the Keras model; None if the file does not run.
        remark: whether the self-test passed against the exporting machine, or why the file does not run.
    """

    file: str
    images: int
    keras_difference: float | None
    remark: str


def check_python(python: Path) -> None:
    """Check that ``python`` has the self-test and tflite-runtime, before exports that take hours.

    Raises:
        ExportError: it does not start, or lacks one of them.
    """
    try:
        done = subprocess.run(
            [str(python.absolute()), "-c", _PROBE], capture_output=True, text=True, cwd="/", check=False, env=_own()
        )  # do not import from this checkout
    except OSError as error:
        raise ExportError(f"{python}: found no working Python ({error.strerror}), {_REMEDY}") from None
    if done.returncode:
        raise ExportError(f"{python}: found no self-test with tflite-runtime ({_last(done.stderr)}), {_REMEDY}")


def replay(bundle: Path, manifest: Manifest, python: Path) -> Iterator[GoldenReplay]:
    """Yield the results of tflite-runtime on the golden images, for each TFLite file.

    Each file has a process of its own, because one that tflite-runtime rejects must not hide what it does with the
    others. If it cannot run a file or crashes, the remark states that; figures of other interpreters stay valid.
    """
    for row in manifest.parity:
        if not row.file.endswith(".tflite"):
            continue
        try:
            check = _replayed(bundle, row.file, python)
            problem = check.problem
        except ExportError as error:
            problem = str(error)
        if problem:
            yield GoldenReplay(row.file, 0, None, f"does not run: {problem}")
        else:
            remark = "as exported" if check.passed else "differs from the exporting machine"
            yield GoldenReplay(row.file, check.values // manifest.spec.outputs, check.keras_difference, remark)


def _replayed(bundle: Path, file: str, python: Path) -> Check:
    """Replay one file in another Python, with the bundle's folder as working folder and not this checkout.

    Raises:
        ExportError: it ended without a result.
    """
    written = bundle.with_name(f"{bundle.name}.{RUNTIME}.json").resolve()
    written.unlink(missing_ok=True)  # a result of an earlier run must not be read
    command = [str(python.absolute()), "-c", _REPLAY, str(bundle.resolve()), file, RUNTIME, str(written)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=bundle.parent, check=False, env=_own())
    if done.returncode < 0 or not written.is_file():
        raise ExportError(_died(done.returncode, done.stderr))
    check = from_json(Check, written.read_bytes(), str(written))
    written.unlink()
    return check


def _own() -> dict[str, str]:
    """Return this process's environment without the path of its packages, which are not those of the other Python."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _died(status: int, errors: str) -> str:
    """Return why the replay wrote no result, without a path of this machine.

    An operator that tflite-runtime cannot run sometimes aborts its whole process.
    """
    if status < 0:
        return f"the process of tflite-runtime ended with {signal.Signals(-status).name}"
    lines = errors.strip().splitlines()
    return f"the replay ended with status {status}: {lines[-1][-_LAST_CHARACTERS:] if lines else 'no message'}"


def _last(text: str) -> str:
    return text.strip()[-_LAST_CHARACTERS:]
