"""Run a bundle's golden images on tflite-runtime, in another Python because tflite-runtime requires NumPy 1."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.selftest.certificate import Certificate, Check, Step
from edge_runtime.serialisation.records import from_json
from export.errors import ExportError

RUNTIME = "tflite"
_PROBE = "import edge_runtime.selftest.replay, tflite_runtime.interpreter"
_REMEDY = "expected an environment with tflite-runtime and this package's wheel: pip install edge_predict-*.whl[tflite]"
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
            [str(python.absolute()), "-c", _PROBE], capture_output=True, text=True, cwd="/", check=False
        )  # cwd: do not import from this checkout
    except OSError as error:
        raise ExportError(f"{python}: found no working Python ({error.strerror}), {_REMEDY}") from None
    if done.returncode:
        raise ExportError(f"{python}: found no self-test with tflite-runtime ({_last(done.stderr)}), {_REMEDY}")


def replay(bundle: Path, manifest: Manifest, python: Path) -> Iterator[GoldenReplay]:
    """Yield the results of tflite-runtime on the golden images, for each TFLite file.

    If it cannot run a file or crashes, the remark states that; figures of other interpreters stay valid.
    """
    try:
        found = {check.subject: check for check in _certificate(bundle, python).checks if _is_ours(check)}
        problem = next((check.problem for check in found.values() if check.problem), "not tried")
    except ExportError as error:
        found, problem = {}, str(error)
    for row in manifest.parity:
        if not row.file.endswith(".tflite"):
            continue
        if row.file in found:
            check = found[row.file]
            remark = "as exported" if check.passed else "differs from the exporting machine"
            yield GoldenReplay(row.file, check.values // manifest.spec.outputs, check.keras_difference, remark)
        else:
            yield GoldenReplay(row.file, 0, None, f"does not run: {problem}")


def _is_ours(check: Check) -> bool:
    return check.step is Step.LOGITS and check.runtime == RUNTIME


def _certificate(bundle: Path, python: Path) -> Certificate:
    """Run the self-test in another Python, with the bundle's folder as working folder and not this checkout.

    Raises:
        ExportError: the self-test wrote no certificate.
    """
    written = bundle.with_name(f"{bundle.name}.{RUNTIME}.json").resolve()
    written.unlink(missing_ok=True)  # a certificate of an earlier run must not be read
    command = [
        str(python.absolute()),
        "-m",
        "edge_runtime.cli.bundle",
        "selftest",
        str(bundle.resolve()),
        "--json",
        str(written),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=bundle.parent, check=False)
    if not written.is_file():
        raise ExportError(_died(done.returncode, done.stderr))
    return from_json(Certificate, written.read_bytes(), str(written))


def _died(status: int, errors: str) -> str:
    """Return why the self-test wrote no certificate, without a path of this machine.

    An operator that tflite-runtime cannot run sometimes aborts its whole process.
    """
    if status < 0:
        return f"the process of tflite-runtime ended with {signal.Signals(-status).name}"
    lines = errors.strip().splitlines()
    return f"its self-test ended with status {status}: {lines[-1][-_LAST_CHARACTERS:] if lines else 'no message'}"


def _last(text: str) -> str:
    return text.strip()[-_LAST_CHARACTERS:]
