"""Benchmark subjects: a model file or a Keras model, on one interpreter, with a number of threads."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.bundle.manifest import FileEntry, Format, Precision, Role
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import open_model
from export.errors import ExportError
from export.validation.parity import RUNTIMES

Floats = npt.NDArray[np.float32]
Run = Callable[[Floats], Floats]
"""Function from one preprocessed image (float32 1×H×W×C) to its logits (float32 1×outputs)."""

THREADS = (1, 2)
"""Numbers of threads with which each model file is measured."""


class BenchmarkEngine(enum.Enum):
    """Interpreter or Keras call that runs the model."""

    KERAS_PREDICT = "keras predict"
    KERAS_FUNCTION = "keras tf.function"
    LITERT = Runtime.LITERT.value
    ONNXRUNTIME = Runtime.ONNXRUNTIME.value


KERAS = (BenchmarkEngine.KERAS_PREDICT, BenchmarkEngine.KERAS_FUNCTION)
_FORMAT_NAMES = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX"}


@dataclass(frozen=True)
class BenchmarkSubject:
    """One row of the table.

    Attributes:
        name: display name, for example ``TFLite int8``.
        file: name of the file in the bundle, or of the Keras model.
        path: path of the copy, which was checked against the manifest.
        threads: number of threads; None for Keras, which uses TensorFlow's default.
    """

    name: str
    engine: BenchmarkEngine
    file: str
    path: Path
    threads: int | None
    size_bytes: int
    form: Format | None = None
    precision: Precision | None = None

    @property
    def is_reference(self) -> bool:
        """Whether this is the reference for ratios: TFLite float32, one thread."""
        return (self.form, self.precision, self.threads) == (Format.TFLITE, Precision.FLOAT32, 1)


def bundle_subjects(bundle: Bundle, folder: Path) -> tuple[BenchmarkSubject, ...]:
    """Copy the model files to ``folder``, with hashes checked; return one subject per file and thread count.

    Raises:
        IntegrityError: a file is missing or altered.
        ExportError: the manifest names no model file.
    """
    order = [(form, precision) for form in Format for precision in reversed(Precision)]
    entries = [e for key in order for e in bundle.manifest.files if e.role is Role.MODEL and _key(e) == key]
    if not entries:
        raise ExportError(f"{bundle.where}: found no model file, expected one or more. Export the bundle again.")
    subjects = []
    for entry in entries:
        path = folder / Path(entry.name).name
        path.write_bytes(bundle.content(entry))
        subjects += [_file_subject(entry, path, threads) for threads in THREADS]
    return tuple(subjects)


def _key(entry: FileEntry) -> tuple[Format | None, Precision | None]:
    return entry.format, entry.precision


def _file_subject(entry: FileEntry, path: Path, threads: int) -> BenchmarkSubject:
    form, precision = entry.format, entry.precision
    if form is None or precision is None:
        raise TypeError(f"{entry.name} is no model file")
    return BenchmarkSubject(
        name=f"{_FORMAT_NAMES[form]} {precision.value}",
        engine=BenchmarkEngine(RUNTIMES[form].value),
        file=entry.name,
        path=path,
        threads=threads,
        size_bytes=entry.size_bytes,
        form=form,
        precision=precision,
    )


def keras_subjects(network: Path, model: Path) -> tuple[BenchmarkSubject, ...]:
    """Return the two Keras rows.

    Args:
        network: the network cut at its logits, as used for conversion.
        model: its original file or SavedModel folder, for name and size.
    """
    files = [path for path in model.rglob("*") if path.is_file()] if model.is_dir() else [model]
    size = sum(path.stat().st_size for path in files)
    names = {BenchmarkEngine.KERAS_PREDICT: "Keras predict", BenchmarkEngine.KERAS_FUNCTION: "Keras tf.function"}
    return tuple(BenchmarkSubject(names[engine], engine, model.name, network, None, size) for engine in KERAS)


def open_subject(subject: BenchmarkSubject) -> Run:
    """Open a subject in this process. TensorFlow is imported only here, and only for Keras."""
    if subject.engine not in KERAS:
        return open_model(subject.path.read_bytes(), Runtime(subject.engine.value), threads=subject.threads or 1).run
    import tensorflow as tf

    from export.source.saved_models import load

    model = load(subject.path)
    if subject.engine is BenchmarkEngine.KERAS_PREDICT:
        return lambda tensor: np.asarray(model.predict(tensor, verbose=0))
    traced = tf.function(lambda tensor: model(tensor, training=False))
    return lambda tensor: np.asarray(traced(tf.constant(tensor)))
