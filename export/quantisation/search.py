"""Search for an int8 file that passes: try the schemes of :data:`LADDER` in order and measure each.

Inputs of a scheme (ranges, percentiles, int8 errors of layers) are measured once, when first required.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Attempt, Format
from edge_runtime.errors import InterpreterBrokenError
from export.converters import ai_edge_quantizer, onnx_layers, tflite_layers, to_onnx, to_tflite
from export.converters.isolation import in_own_process
from export.errors import NOTHING_TO_CORRECT, ConversionError
from export.quantisation.schemes import LADDER, PEERS, Quantisation, Quantiser, Ranges

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


@dataclass(frozen=True)
class SearchPlan:
    """The schemes that a search tries.

    Attributes:
        ladder: schemes, tried in order until one passes; None for :data:`export.quantisation.schemes.LADDER`, and then
            :data:`export.quantisation.schemes.PEERS` if none of it passes.
        peers: whether the peers are tried although a scheme passed.
        tell: function that is called with each scheme before it is tried.
        report: whether schemes that do not pass are logged as warnings.
    """

    ladder: Iterable[Quantisation] | None = None
    peers: bool = False
    tell: Callable[[Quantisation], None] = lambda how: None
    report: bool = True


def quantise(
    form: Format,
    workspace: SearchWorkspace,
    run: Callable[[Path], Logits],
    judge: Callable[[Path, Quantisation], Attempt],
    out: Path,
    plan: SearchPlan | None = None,
) -> tuple[Attempt, ...]:
    """Write the first int8 file that passes to ``out``, and return all attempts; if none passes, write no file.

    A scheme passes if it keeps parity and improves on float32 (:mod:`export.quantisation.gain`). After a scheme that
    does not improve on float32 the search continues, because later schemes may keep other, cheaper layers in float32.

    If peers are compared, a peer replaces the scheme that passed only if fewer decisions flip.

    Args:
        run: function that returns a file's logits for the calibration images, float32 N×outputs.
        judge: function that compares a file with the cost of float32, and with the Keras model on the parity images.
            An attempt in which converter or interpreter failed is returned with its failure.
        plan: the schemes to try.
    """
    plan = plan or SearchPlan()
    trial = _Trial(form, workspace, run, judge, plan)
    attempts = trial.until_one_passes(LADDER if plan.ladder is None else plan.ladder, out)
    if not attempts[-1].passed:
        attempts += trial.until_one_passes(PEERS[form] if plan.ladder is None else (), out)
    elif plan.peers:
        attempts = _compare_peers(trial, attempts, form, out)
    if any(attempt.passed for attempt in attempts):
        return tuple(attempts)
    out.unlink(missing_ok=True)
    if plan.report:
        _LOG.warning("%s is not in the bundle: %s", out.name, NONE_PASSED)
    return tuple(attempts)


NONE_PASSED = (
    "no quantisation scheme keeps parity with the source model and improves on float32. Devices use float32 instead. "
    "More calibration images like those of the model's use, or BatchNorm before ReLU, may help. A Keras model "
    "can also be fitted to int8: python -m training settle MODEL --spec SPEC --data FOLDER --out NEW.keras"
)


def _told(error: Exception) -> str:
    """Return the first line of an error, without the name of the function that ran in a process of its own."""
    return re.sub(r"^export\.[\w.]+ failed: ", "the converter failed: ", str(error).splitlines()[0])


class _Trial:
    """Tries schemes on one network and format, and remembers which were tried and whether a bias can be corrected."""

    def __init__(
        self,
        form: Format,
        workspace: SearchWorkspace,
        run: Callable[[Path], Logits],
        judge: Callable[[Path, Quantisation], Attempt],
        plan: SearchPlan,
    ) -> None:
        self._write = {Format.TFLITE: _write_tflite, Format.ONNX: _write_onnx}[form]
        self._workspace, self._run, self._judge, self._plan = workspace, run, judge, plan
        self._correctable = True
        self._tried: set[Quantisation] = set()

    def until_one_passes(self, ladder: Iterable[Quantisation], out: Path) -> list[Attempt]:
        """Write the first file that passes to ``out``; return the attempts."""
        attempts: list[Attempt] = []
        for planned in ladder:
            attempt = self.attempt(planned, out)
            if attempt is None:
                continue
            attempts.append(attempt)
            if attempt.passed:
                break
            if not attempt.failure and self._plan.report:
                _LOG.warning("%s; trying the next scheme", attempt.text())
        return attempts

    def attempt(self, planned: Quantisation, out: Path) -> Attempt | None:
        """Write a file and judge it; return None if the scheme was tried before."""
        how = planned if self._correctable else replace(planned, bias_corrected=False)
        if how in self._tried:
            return None
        self._tried.add(how)
        self._plan.tell(how)
        try:
            if how.bias_corrected and not self._workspace.error(how).exists():
                self._write(self._workspace, replace(how, bias_corrected=False), out)
                _note_error(self._workspace, how, self._run(out))
            self._write(self._workspace, how, out)
            found = self._judge(out, how)
        except (ConversionError, InterpreterBrokenError) as error:  # the interpreter may reject the file
            # the last layer may have no bias
            self._correctable = self._correctable and NOTHING_TO_CORRECT not in str(error)
            return Attempt(out.name, how.text(), failure=_told(error))
        if not found.passed and not how.bias_corrected and found.worthless is None:
            _note_error(self._workspace, how, self._run(out))
        return found


def _compare_peers(trial: _Trial, attempts: list[Attempt], form: Format, out: Path) -> list[Attempt]:
    """Try all peers; replace the file at ``out`` if fewer decisions of a peer flip. The scheme of that file is last."""
    best, others = attempts[-1], attempts[:-1]
    for peer in PEERS[form]:
        tried = out.with_name(f"peer.{out.name}")
        found = trial.attempt(peer, tried)
        if found is None:
            continue
        found = replace(found, file=out.name)
        if found.passed and found.flips < best.flips:
            tried.replace(out)
            best, found = found, best
        if found.passed:
            found = replace(found, passed=False, worthless=f"no fewer decisions flip than with {best.how}")
        others.append(found)
        tried.unlink(missing_ok=True)
    return [*others, best]


def _note_error(workspace: SearchWorkspace, how: Quantisation, logits: Logits) -> None:
    np.save(workspace.error(how), (logits - workspace.expected).mean(axis=0))


def _write_tflite(workspace: SearchWorkspace, how: Quantisation, out: Path) -> None:
    inputs, moments = (workspace.model, workspace.ranges), workspace.moments
    if how.quantiser is not Quantiser.CONVERTER:
        float32 = workspace.once("float32.tflite", to_tflite.write_float32, workspace.model)
        more = [True] if moments else []
        in_own_process(ai_edge_quantizer.write_quantised, float32, workspace.ranges, how, str(out), *more)
        return
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
