"""int8 until it passes: ways of quantising, tried in the order of :data:`LADDER`, each measured.

What a way needs (ranges, percentiles, the layers that suffer most) is measured once, when the first way asks for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Attempt, Format
from edge_runtime.errors import InterpreterBrokenError
from export.converters import onnx_layers, tflite_layers, to_onnx, to_tflite
from export.converters.isolation import in_own_process
from export.errors import NOTHING_TO_CORRECT, ConversionError
from export.quantisation.schemes import LADDER, Quantisation, Ranges

_LOG = logging.getLogger(__name__)

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SearchWorkspace:
    """Where one format's attempts are made.

    Attributes:
        folder: scratch of this format alone.
        model: the Keras network that is quantised.
        ranges: calibration images, .npy, float32 N×H×W×C.
        expected: what the Keras network answers to them, float32 N×outputs.
    """

    folder: Path
    model: str
    ranges: str
    expected: Logits

    def error(self, how: Quantisation) -> Path:
        """Where the mean error of the logits on the calibration images lies, .npy, of ``how`` without correction."""
        return self.folder / f"error of {replace(how, bias_corrected=False).text()}.npy"

    def once(self, name: str, job: Callable[..., None], *args: str) -> str:
        """Return the file that ``job(*args, file)`` writes, made the first time it is asked for."""
        path = self.folder / name
        if not path.exists():
            in_own_process(job, *args, str(path))
        return str(path)


def quantise(
    form: Format,
    shop: SearchWorkspace,
    run: Callable[[Path], Logits],
    judge: Callable[[Path, Quantisation], Attempt],
    out: Path,
) -> tuple[Attempt, ...]:
    """Write the first int8 file that passes to ``out``, and return every attempt; no file where none passes.

    A way passes if it keeps parity and is a gain over float32 (:mod:`export.quantisation.gain`). One that is no gain
    does not end the search: the next may keep other layers in float32, which cost less.

    Args:
        run: gives a file's logits for the calibration images.
        judge: holds a file against float32's cost, and against the Keras model on images that calibration never saw.

    Raises:
        ConversionError: converter or interpreter can do none of the ways; the message is the table of attempts.
    """
    write = {Format.TFLITE: _write_tflite, Format.ONNX: _write_onnx}[form]
    attempts: list[Attempt] = []
    correctable = True
    tried: set[Quantisation] = set()
    for planned in LADDER:
        how = planned if correctable else replace(planned, bias_corrected=False)
        if how in tried:
            continue
        tried.add(how)
        try:
            if how.bias_corrected and not shop.error(how).exists():
                write(shop, replace(how, bias_corrected=False), out)
                _note_error(shop, how, run(out))
            write(shop, how, out)
            attempts.append(judge(out, how))
        except (ConversionError, InterpreterBrokenError) as error:  # the interpreter may refuse what was written
            attempts.append(Attempt(out.name, how.text(), failure=str(error).splitlines()[0]))
            correctable = correctable and NOTHING_TO_CORRECT not in str(error)  # a network that ends without a bias
            continue
        if attempts[-1].passed:
            return tuple(attempts)
        _LOG.warning("%s; trying the next way", attempts[-1].text())
        if not how.bias_corrected and attempts[-1].worthless is None:
            _note_error(shop, how, run(out))
    out.unlink(missing_ok=True)
    if all(attempt.failure for attempt in attempts):
        table = "\n".join(f"  {attempt.text()}" for attempt in attempts)
        raise ConversionError(
            f"{out.name}: no way of quantising is possible. Nothing was written. Tried, in order:\n{table}"
        )
    _LOG.warning(
        "%s is left out: no way of quantising keeps parity with the Keras model and is a gain over float32, which "
        "answers in its place. More calibration images of the kind that the model will meet, or BatchNorm before "
        "ReLU, may help.",
        out.name,
    )
    return tuple(attempts)


def _note_error(shop: SearchWorkspace, how: Quantisation, logits: Logits) -> None:
    np.save(shop.error(how), (logits - shop.expected).mean(axis=0))


def _write_tflite(shop: SearchWorkspace, how: Quantisation, out: Path) -> None:
    calibrated = shop.once("calibrated.tflite", to_tflite.write_calibrated, shop.model, shop.ranges)
    source, layers = calibrated, ""
    if how.ranges is Ranges.PERCENTILE:
        source = shop.once("percentiles.tflite", tflite_layers.write_percentiles, calibrated, shop.ranges)
    if how.keeps_layers:
        layers = shop.once("layers.json", tflite_layers.write_layers, calibrated, shop.ranges)
    in_own_process(to_tflite.write_quantised, source, str(shop.error(how)), layers, how, str(out))


def _write_onnx(shop: SearchWorkspace, how: Quantisation, out: Path) -> None:
    float32 = shop.once("float32.onnx", to_onnx.write_float32, shop.model)
    prepared = shop.once("prepared.onnx", to_onnx.write_prepared, float32)
    layers = ""
    if how.keeps_layers:
        layers = shop.once("layers.json", onnx_layers.write_layers, prepared, str(out), shop.ranges)
    error = str(shop.error(how))
    in_own_process(to_onnx.write_quantised, prepared, shop.ranges, str(shop.folder), error, layers, how, str(out))
