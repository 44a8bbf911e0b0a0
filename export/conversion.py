"""Convert a network to model files, each in its own process, and search the quantisation schemes for int8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.bundle import describe_files
from edge_runtime.bundle.manifest import Attempt, Format, Precision, Role
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.inference.backends.registry import open_model
from export.converters import moments as moment_outputs
from export.converters import tflite_file, to_onnx, to_tflite
from export.converters.isolation import in_own_process
from export.errors import ConversionError
from export.progress import ExportProgress, Stage
from export.quantisation import equalisation, search
from export.quantisation.gain import no_share, too_slow
from export.quantisation.schemes import Quantisation
from export.source.stored_tensors import StoredTensors, Tensors, store
from export.validation import parity
from export.validation.parity import RUNTIMES

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
        network: Keras network cut at its logits.
        explained: the same network with the additional outputs that heatmaps require; for the float32 files.
        judged: parity images.
        ranges: calibration images.
        float16: also write a TFLite file with float16 weights.
        moments: Keras' moments of the last output of both networks, a feature map, for the calibration images, float32
            N×2C; all files return moments then. None for networks without that output.
        progress: is told each stage and scheme.
        plan: the quantisation schemes to try.
    """
    more = () if moments is None else (True,)
    model, calibration = str(network), work.save("calibration", ranges.tensors)
    attempts: tuple[Attempt, ...] = ()
    progress.begin(Stage.TFLITE_FLOAT32)
    out = str(work.model(Format.TFLITE, Precision.FLOAT32))
    in_own_process(to_tflite.write_float32, str(explained), out, *more)
    if float16:
        progress.begin(Stage.TFLITE_FLOAT16)
        out = str(work.model(Format.TFLITE, Precision.FLOAT16))
        in_own_process(to_tflite.write_float16, model, out, *more)
    progress.begin(Stage.ONNX_FLOAT32)
    out = str(work.model(Format.ONNX, Precision.FLOAT32))
    in_own_process(to_onnx.write_float32, str(explained), out, *more)
    _check_exact(work, judged, spec)
    if not network.is_dir():  # the layers of a SavedModel cannot be changed
        progress.begin(Stage.EQUALISE)
        model = str(work.scratch / "equalised.keras")
        in_own_process(equalisation.write_equalised, str(network), calibration, model)
    for form in Format:
        workspace = search.SearchWorkspace(work.folder(form), model, calibration, ranges.logits, moments is not None)
        told = replace(plan, tell=partial(_tell, progress, form))
        attempts += _quantise(form, workspace, judged, ranges, spec, work, told)
        if moments is not None:
            _correct_moments(form, work.model(form, Precision.INT8), ranges.tensors, moments)
    embed = {Format.TFLITE: tflite_file.embed, Format.ONNX: to_onnx.embed}
    for form, _, path in work.written():
        embed[form](path, spec)
    return attempts


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


def _check_exact(work: ExportFolder, judged: ParityImages, spec: ModelSpec) -> None:
    """Compare the float32 files before int8 is tried: int8 cannot correct a conversion fault.

    Raises:
        ParityError: as :func:`export.validation.parity.check`.
    """
    for form in Format:
        named = (NAMES[form, Precision.FLOAT32], Role.MODEL, form, Precision.FLOAT32)
        (entry,) = describe_files(work.bundle, [named])
        parity.check(parity.answer(work.bundle, entry, judged.tensors), judged.logits, spec)


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
