"""Check an ONNX or TFLite classifier against its spec, and write its network and its own logits.

Runs in a child process, as :mod:`export.source.keras_model` does for Keras models.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.manifest import Format, Reference
from edge_runtime.bundle.policy import Head
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.errors import EdgeError
from edge_runtime.inference.backends.base import Runtime
from edge_runtime.inference.backends.registry import open_model
from edge_runtime.serialisation.records import from_json, to_dict
from export.errors import ExportError
from export.source.foreign import onnx_model, tflite_model
from export.source.foreign.formats import foreign_format, formats_from, left_out
from export.source.foreign.given import GivenModel
from export.source.heads import FinalActivation
from export.source.spec_check import Network, check_end, check_unknown

Floats = npt.NDArray[np.float32]

FILE = "reference.json"

AGREES = 1e-4
"""Largest allowed |Δ score| between the given file and its logits plus the activation."""

_READ = {Format.ONNX: onnx_model.read, Format.TFLITE: tflite_model.read}
_RUNTIMES = {Format.ONNX: Runtime.ONNXRUNTIME, Format.TFLITE: Runtime.LITERT}
_PACKAGE = {Format.ONNX: "onnxruntime", Format.TFLITE: "ai-edge-litert"}


def write_network(
    model_path: str,
    tensors_path: str,
    spec: ModelSpec,
    output: str | None,
    network_path: str,
    logits_path: str,
    refusal_path: str,
) -> None:
    """Check a file against its spec; write the network for devices, and the file's own logits.

    Args:
        tensors_path: preprocessed images to read, float32 N×H×W×C.
        output: name of the output that gives the scores; None if there is one.
        network_path: the file to write; :data:`FILE`, a :class:`edge_runtime.bundle.manifest.Reference`, is beside it.
        logits_path: logits of the tensors to write, float32 N×outputs.
        refusal_path: error message, written instead of all other files if file and spec contradict each other.
    """
    path, tensors = Path(model_path), np.load(tensors_path, mmap_mode="r")
    try:
        form = foreign_format(path)
        if form is None:
            raise TypeError(f"{path} is neither ONNX nor TFLite")
        given = _READ[form](path, spec, output)
        logits = _logits(path, given, tensors, spec)
        Path(network_path).write_bytes(given.network)
        _check_runs(path, Path(network_path), tensors)
    except ExportError as error:
        Path(refusal_path).write_text(str(error), encoding="utf-8")
        return
    np.save(logits_path, logits)
    reference = Reference(
        format=form,
        name=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        interpreter=f"{_PACKAGE[form]} {version(_PACKAGE[form])}",
        output=given.output,
        quantised=given.quantised,
        changes=given.changes,
        left_out=left_out(form),
    )
    Path(network_path).with_name(FILE).write_text(json.dumps(to_dict(reference)), encoding="utf-8")


def reference_of(network: Path) -> Reference | None:
    """Return the record that :func:`write_network` wrote beside a network; None for a Keras network."""
    path = network.with_name(FILE)
    return from_json(Reference, path.read_bytes(), FILE) if path.is_file() else None


def answers(network: Path, tensors: Floats) -> Floats:
    """Return the logits of a network that :func:`write_network` wrote, float32 N×outputs, for N images."""
    (form,) = formats_from(network)
    backend = open_model(network.read_bytes(), _RUNTIMES[form])
    try:
        return backend.run(np.asarray(tensors))
    finally:
        backend.close()


def _check_runs(path: Path, network: Path, tensors: Floats) -> None:
    """Open the network as devices do, and run one image."""
    try:
        answers(network, tensors[:1])
    except EdgeError as error:
        raise ExportError(
            f"{path}: devices cannot run it ({' '.join(str(error).split())[:200]}), expected operators that they "
            "compute. Export the network again, in float32."
        ) from None


def _logits(path: Path, given: GivenModel, tensors: Floats, spec: ModelSpec) -> Floats:
    """Run the given file, and return its logits if they agree with its outputs and with the spec."""
    _check_labels(path, given, spec)
    scores, logits = given.scores(tensors), given.logits(tensors)
    if scores.shape != (len(tensors), spec.outputs):
        _refuse_outputs(path, given, scores.shape[1:], spec)
    if given.end is FinalActivation.UNKNOWN and np.isfinite(logits).all():
        found = f"{path}: no final softmax or sigmoid can be removed, and the outputs were"
        check_unknown(found, logits, spec, "export the network with a softmax or sigmoid as its last layer")
    else:
        where = Network(str(path), (), (given.output,), (), (None, spec.outputs), "float32")
        check_end(where, given.end, spec, logits)
    worst = float(np.abs(_activated(logits, scores, given.end) - scores).max())
    if worst > AGREES + given.step:
        raise ExportError(
            f"{path}: found scores that differ by {worst:.3g} after the final {given.end.value} was removed, expected "
            f"{AGREES + given.step:.2g} at most. Export the network without that activation."
        )
    return logits


def _activated(logits: Floats, scores: Floats, end: FinalActivation) -> Floats:
    """Apply the removed activation in numpy; the logarithm of a softmax is told by its values below 0."""
    if end is FinalActivation.SOFTMAX:
        shifted = logits - logits.max(axis=-1, keepdims=True)
        log = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return np.asarray(log if scores.max() <= 0 else np.exp(log))
    return np.asarray(np.exp(-np.logaddexp(np.float32(0), -logits))) if end is FinalActivation.SIGMOID else logits


def _refuse_outputs(path: Path, given: GivenModel, shape: tuple[int, ...], spec: ModelSpec) -> None:
    found = "×".join(map(str, shape))
    remedy = "Give labels one for each output, in their order."
    if len(shape) != 1:
        remedy = "End the network with pooling or flattening and a dense layer."
    elif shape == (1,):
        remedy = "One output needs two labels, the second positive, head sigmoid, and a sigmoid or nothing at its end."
    elif spec.head is Head.SIGMOID:
        remedy = "Head sigmoid is for one output; use softmax or independent_sigmoids."
    raise ExportError(
        f"{path}: found {found} values in output {given.output}, expected {spec.outputs} for the {len(spec.labels)} "
        f"labels {', '.join(spec.labels)} and head {spec.head.value}. {remedy}"
    )


def _check_labels(path: Path, given: GivenModel, spec: ModelSpec) -> None:
    """Refuse a spec with the file's own labels in another order."""
    if len(given.labels) == len(spec.labels) and given.labels != spec.labels and set(given.labels) == set(spec.labels):
        raise ExportError(
            f"{path}: found the labels {', '.join(given.labels)} inside the file, and {', '.join(spec.labels)} in the "
            "spec, expected the same order. Correct the labels of the spec."
        )
