"""A bundle on tflite-runtime, which cannot live beside the exporter (it wants NumPy 1): another Python replays it."""

from __future__ import annotations

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
_SAID = 300


@dataclass(frozen=True)
class GoldenReplay:
    """One file's golden images on tflite-runtime.

    Attributes:
        images: golden images.
        keras_difference: largest |Δ logit| against the Keras model.
        remark: whether that is within what the self-test allows against the exporting machine, or why there is none.
    """

    file: str
    images: int
    keras_difference: float | None
    remark: str


def check_python(python: Path) -> None:
    """Make sure that ``python`` has a self-test and tflite-runtime, before hours go into exporting.

    Raises:
        ExportError: it does not start, or lacks either.
    """
    try:
        done = subprocess.run(
            [str(python.absolute()), "-c", _PROBE], capture_output=True, text=True, cwd="/", check=False
        )  # not this checkout
    except OSError as error:
        raise ExportError(f"{python}: found no Python that starts ({error.strerror}), {_REMEDY}") from None
    if done.returncode:
        raise ExportError(f"{python}: found no self-test on tflite-runtime there ({_last(done.stderr)}), {_REMEDY}")


def replay(bundle: Path, manifest: Manifest, python: Path) -> Iterator[GoldenReplay]:
    """Yield what tflite-runtime gives for each TFLite file on the golden images.

    A file that it refuses, or that kills it, is a remark: the other interpreters' figures stand.
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
    """Run the self-test of another Python, beside the bundle and not in this checkout, whose code it would import.

    Raises:
        ExportError: it left no certificate.
    """
    written = bundle.with_name(f"{bundle.name}.{RUNTIME}.json").resolve()
    written.unlink(missing_ok=True)  # one that an earlier run left would pass for this one's
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
        raise ExportError(
            f"{python}: the self-test of {bundle.name} left no certificate (exit status "
            f"{done.returncode}: {_last(done.stderr)})."
        )
    return from_json(Certificate, written.read_bytes(), str(written))


def _last(said: str) -> str:
    return said.strip()[-_SAID:]
