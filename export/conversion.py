"""Convert a network to model files, each in its own process, and search the quantisation schemes for int8."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.bundle import describe_files
from edge_runtime.bundle.manifest import Attempt, Format, Precision, Role
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import InterpreterBrokenError
from edge_runtime.inference.backends.registry import open_model
from export.converters import culprit, tflite_file, to_onnx, to_tflite
from export.converters import moments as moment_outputs
from export.converters.isolation import in_own_process
from export.errors import ConversionError, ParityError
from export.progress import ExportProgress, Stage
from export.quantisation import equalisation, search
from export.quantisation.gain import no_share, too_slow
from export.quantisation.schemes import Quantisation
from export.source.foreign.formats import formats_from
from export.source.foreign.network import reference_of
from export.source.stored_tensors import StoredTensors, Tensors, store
from export.validation import parity
from export.validation.parity import RUNTIMES

_LOG = logging.getLogger(__name__)

Logits = npt.NDArray[np.float32]

NAMES = {(form, precision): f"model.{precision.value}.{form.value}" for form in Format for precision in Precision}
"""File names of a bundle's model files; a bundle need not contain all of them."""


@dataclass(frozen=True)
class ParityImages:
    """Preprocessed images (float32 N×H×W×C) and their logits from the Keras network (float32 N×outputs)."""

    tensors: Tensors
    logits: Logits


@dataclass(frozen=True)
class ExportFolder:
    """The hidden folders of an export: the future bundle, and scratch files."""

    bundle: Path
    scratch: Path

    @staticmethod
    def name(form: Format, precision: Precision) -> str:
        """Return the name of a model file of a bundle."""
        return NAMES[form, precision]

    def model(self, form: Format, precision: Precision) -> Path:
        """Return the path of a model file of the bundle."""
        return self.bundle / NAMES[form, precision]

    def written(self) -> Iterator[tuple[Format, Precision, Path]]:
        """Yield format, precision and path of the model files written so far."""
        found = ((form, precision, self.bundle / name) for (form, precision), name in NAMES.items())
        return (each for each in found if each[2].is_file())

    def folder(self, form: Format) -> Path:
        """Return the scratch folder of one format, created if missing."""
        path = self.scratch / form.value
        path.mkdir(exist_ok=True)
        return path

    def save(self, name: str, tensors: Tensors) -> str:
        """Return the path of a scratch file of the tensors for child processes; write it unless they are in one."""
        if isinstance(tensors, StoredTensors):
            return str(tensors.path)
        return str(store(tensors, tensors.shape[1:], self.scratch / f"{name}.npy").path)


def convert(
    network: Path,
    explained: Path,
    spec: ModelSpec,
    judged: ParityImages,
    ranges: ParityImages,
    work: ExportFolder,
    *,
    float16: bool,
    moments: Logits | None = None,
    progress: ExportProgress,
    plan: search.SearchPlan,
) -> tuple[Attempt, ...]:
    """Write the model files, each conversion in its own process; return the quantisation attempts.

    Args:
        network: network cut at its logits: a Keras network for both formats, an ONNX or TFLite file for its own. Such a
            file that is quantised already becomes the int8 file.
        explained: the same network with the additional outputs that heatmaps require; for the float32 files.
        judged: parity images.
        ranges: calibration images.
        float16: also write a TFLite file with float16 weights.
        moments: Keras' moments of the last output of both networks, a feature map, for the calibration images, float32
            N×2C; all files return moments then. None for networks without that output.
        progress: is told each stage and scheme.
        plan: the quantisation schemes to try.
    """
    forms = formats_from(network)
    reference = reference_of(network)
    if reference is not None and reference.quantised:
        shutil.copyfile(network, work.model(forms[0], Precision.INT8))
        _embed(work, spec)
        return ()
    calibration = work.save("calibration", ranges.tensors)
    _write_unquantised(forms, network, explained, work, progress, float16=float16, moments=moments is not None)
    _check_exact(work, str(network), judged, spec)
    model = _equalised(network, calibration, work, progress)
    attempts: tuple[Attempt, ...] = ()
    for form in forms:
        workspace = search.SearchWorkspace(work.folder(form), model, calibration, ranges.logits, moments is not None)
        told = replace(plan, tell=partial(_tell, progress, form))
        attempts += _quantise(form, workspace, judged, ranges, spec, work, told)
        if moments is not None:
            _correct_moments(form, work.model(form, Precision.INT8), ranges.tensors, moments)
    _embed(work, spec)
    return attempts


def _write_unquantised(
    forms: Sequence[Format],
    network: Path,
    explained: Path,
    work: ExportFolder,
    progress: ExportProgress,
    *,
    float16: bool,
    moments: bool,
) -> None:
    """Write the float32 files, and the float16 file if it is wanted; arguments as of :func:`convert`."""
    more, model = (True,) if moments else (), str(network)
    if Format.TFLITE in forms:
        progress.begin(Stage.TFLITE_FLOAT32)
        out = str(work.model(Format.TFLITE, Precision.FLOAT32))
        _converted(Format.TFLITE, model, to_tflite.write_float32, str(explained), out, *more)
    if float16:
        progress.begin(Stage.TFLITE_FLOAT16)
        out = str(work.model(Format.TFLITE, Precision.FLOAT16))
        _converted(Format.TFLITE, model, to_tflite.write_float16, model, out, *more)
    if Format.ONNX in forms:
        progress.begin(Stage.ONNX_FLOAT32)
        out = str(work.model(Format.ONNX, Precision.FLOAT32))
        _converted(Format.ONNX, model, to_onnx.write_float32, str(explained), out, *more)


def _equalised(network: Path, calibration: str, work: ExportFolder, progress: ExportProgress) -> str:
    """Return the path of the network to quantise: equalised, if its layers can be changed."""
    if network.suffix != ".keras":
        return str(network)
    progress.begin(Stage.EQUALISE)
    out = str(work.scratch / "equalised.keras")
    try:
        in_own_process(equalisation.write_equalised, str(network), calibration, out)
    except ConversionError as error:  # int8 then starts from the network as it is
        _LOG.warning("%s; the network is quantised without equalisation", error)
        return str(network)
    return out


def _embed(work: ExportFolder, spec: ModelSpec) -> None:
    """Write the spec into every model file."""
    embed = {Format.TFLITE: tflite_file.embed, Format.ONNX: to_onnx.embed}
    for form, _, path in work.written():
        embed[form](path, spec)


def _converted(form: Format, network: str, job: Callable[..., None], *args: Any) -> None:
    """Run a conversion in its own process.

    Args:
        network: the Keras network, in which a layer is looked for if the conversion fails.

    Raises:
        ConversionError: the converter fails; the message names the layer and a remedy.
    """
    try:
        in_own_process(job, *args)
    except ConversionError as error:
        _LOG.debug("%s\n%s", error, error.log)
        raise culprit.explained(network, form, error) from None


def _tell(progress: ExportProgress, form: Format, how: Quantisation) -> None:
    progress.begin({Format.TFLITE: Stage.TFLITE_INT8, Format.ONNX: Stage.ONNX_INT8}[form], how.text())


def _correct_moments(form: Format, int8: Path, tensors: Tensors, expected: Logits) -> None:
    """Subtract the mean error of an int8 file's moments on the calibration images, if there is an int8 file."""
    if not int8.is_file():
        return
    backend = open_model(int8.read_bytes(), RUNTIMES[form])
    try:
        found = parity.run_with_moments(backend, tensors)[1]
    finally:
        backend.close()
    if found is None:
        raise ConversionError(f"{int8.name}: found no moments of the feature map, expected them. Report this fault.")
    error = (found.astype(np.float64) - expected).mean(axis=0).astype(np.float32)
    {Format.TFLITE: moment_outputs.correct_tflite, Format.ONNX: moment_outputs.correct_onnx}[form](int8, error)


def _check_exact(work: ExportFolder, network: str, judged: ParityImages, spec: ModelSpec) -> None:
    """Compare the float32 files before int8 is tried: int8 cannot correct a conversion fault.

    Args:
        network: the Keras network, in which a layer is looked for if a file differs.

    Raises:
        ParityError: as :func:`export.validation.parity.check`, with the layer that is converted wrongly.
        ConversionError: the interpreter does not run the file.
    """
    for form, _, path in [each for each in work.written() if each[1] is Precision.FLOAT32]:
        named = (path.name, Role.MODEL, form, Precision.FLOAT32)
        (entry,) = describe_files(work.bundle, [named])
        try:
            parity.check(parity.answer(work.bundle, entry, judged.tensors), judged.logits, spec)
        except InterpreterBrokenError as error:
            raise culprit.explained(network, form, ConversionError(str(error).splitlines()[0])) from None
        except ParityError as error:
            raise ParityError(f"{error}{culprit.hint(network, form)}") from None


def _quantise(
    form: Format,
    workspace: search.SearchWorkspace,
    judged: ParityImages,
    ranges: ParityImages,
    spec: ModelSpec,
    work: ExportFolder,
    plan: search.SearchPlan,
) -> tuple[Attempt, ...]:
    def judge(path: Path, how: Quantisation) -> Attempt:
        float32 = work.model(form, Precision.FLOAT32)
        worthless = no_share(path, float32, form)
        if worthless is not None:
            return Attempt(path.name, how.text(), size_bytes=path.stat().st_size, worthless=worthless)
        found = parity.judge(path, how.text(), parity.logits_of(path, form, judged.tensors), judged.logits, spec)
        if not found.passed:
            return found
        worthless = too_slow(path, float32, form, judged.tensors[:1])
        return replace(found, passed=worthless is None, worthless=worthless)

    def run(path: Path) -> Logits:
        return parity.logits_of(path, form, ranges.tensors)

    return search.quantise(form, workspace, run, judge, work.model(form, Precision.INT8), plan)
