"""Search for an int8 file that passes: try the schemes of :data:`LADDER` in order and measure each.

Inputs of a scheme (ranges, percentiles, int8 errors of layers) are measured once, when first required.
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
    """Scratch folder and inputs for the attempts of one format.

    Attributes:
        folder: scratch folder of this format only.
        model: path of the Keras network to quantise.
        ranges: path of the calibration images, .npy, float32 N×H×W×C.
        expected: the Keras network's logits for them, float32 N×outputs.
        moments: the network's last output is a feature map, whose moments the files return.
    """

    folder: Path
    model: str
    ranges: str
    expected: Logits
    moments: bool = False

    def error(self, how: Quantisation) -> Path:
        """Return the path (.npy) of the mean logit error on calibration images for ``how`` without bias correction."""
        return self.folder / f"error of {replace(how, bias_corrected=False).text()}.npy"

    def once(self, name: str, job: Callable[..., None], *args: str, moments: bool = False) -> str:
        """Return the path of the file that ``job(*args, path)`` writes; run the job only the first time.

        Args:
            name: name of the file.
            job: a function of :mod:`export.converters`.
            args: its arguments before the path.
            moments: the network's last output is a feature map; passed to the job after the path.
        """
        path = self.folder / name
        if not path.exists():
            in_own_process(job, *args, str(path), *([True] if moments else []))
        return str(path)


def quantise(
    form: Format,
    workspace: SearchWorkspace,
    run: Callable[[Path], Logits],
    judge: Callable[[Path, Quantisation], Attempt],
    out: Path,
) -> tuple[Attempt, ...]:
    """Write the first int8 file that passes to ``out``, and return all attempts; if none passes, write no file.

    A scheme passes if it keeps parity and improves on float32 (:mod:`export.quantisation.gain`). After a scheme that
    does not improve on float32 the search continues, because later schemes may keep other, cheaper layers in float32.

    Args:
        run: function that returns a file's logits for the calibration images, float32 N×outputs.
        judge: function that compares a file with the cost of float32, and with the Keras model on the parity images.
            An attempt in which converter or interpreter failed is returned with its failure.
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
            if how.bias_corrected and not workspace.error(how).exists():
                write(workspace, replace(how, bias_corrected=False), out)
                _note_error(workspace, how, run(out))
            write(workspace, how, out)
            attempts.append(judge(out, how))
        except (ConversionError, InterpreterBrokenError) as error:  # the interpreter may reject the file
            attempts.append(Attempt(out.name, how.text(), failure=str(error).splitlines()[0]))
            correctable = correctable and NOTHING_TO_CORRECT not in str(error)  # the last layer has no bias
            continue
        if attempts[-1].passed:
            return tuple(attempts)
        _LOG.warning("%s; trying the next scheme", attempts[-1].text())
        if not how.bias_corrected and attempts[-1].worthless is None:
            _note_error(workspace, how, run(out))
    out.unlink(missing_ok=True)
    _LOG.warning(
        "%s is not in the bundle: no quantisation scheme keeps parity with the source model and improves on float32. "
        "Devices use float32 instead. More calibration images like those of the model's use, or BatchNorm before "
        "ReLU, may help.",
        out.name,
    )
    return tuple(attempts)


def _note_error(workspace: SearchWorkspace, how: Quantisation, logits: Logits) -> None:
    np.save(workspace.error(how), (logits - workspace.expected).mean(axis=0))


def _write_tflite(workspace: SearchWorkspace, how: Quantisation, out: Path) -> None:
    inputs, moments = (workspace.model, workspace.ranges), workspace.moments
    calibrated = workspace.once("calibrated.tflite", to_tflite.write_calibrated, *inputs, moments=moments)
    source, layers = calibrated, ""
    if how.ranges is Ranges.PERCENTILE:
        source = workspace.once("percentiles.tflite", tflite_layers.write_percentiles, calibrated, workspace.ranges)
    if how.keeps_layers:
        layers = workspace.once("layers.json", tflite_layers.write_layers, calibrated, workspace.ranges)
    error = str(workspace.error(how))
    in_own_process(to_tflite.write_quantised, source, error, layers, how, str(out), *([True] if moments else []))


def _write_onnx(workspace: SearchWorkspace, how: Quantisation, out: Path) -> None:
    float32 = workspace.once("float32.onnx", to_onnx.write_float32, workspace.model, moments=workspace.moments)
    prepared = workspace.once("prepared.onnx", to_onnx.write_prepared, float32)
    layers = ""
    if how.keeps_layers:
        layers = workspace.once("layers.json", onnx_layers.write_layers, prepared, str(out), workspace.ranges)
    error = str(workspace.error(how))
    in_own_process(
        to_onnx.write_quantised, prepared, workspace.ranges, str(workspace.folder), error, layers, how, str(out)
    )
