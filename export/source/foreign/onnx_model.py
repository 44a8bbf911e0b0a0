"""Bring an ONNX classifier made elsewhere into the form for devices: one image N×H×W×C in, logits out.

Onnxruntime is imported inside functions, because only child processes may import it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle.manifest import Format
from edge_runtime.bundle.spec import ModelSpec
from export.converters.onnx_names import BATCH, INPUT, OPSET, OUTPUT
from export.errors import ExportError
from export.source.foreign.formats import damaged
from export.source.foreign.given import GivenModel, Layout, choose_output, layout_of
from export.source.foreign.onnx_classifiers import expand_linear, expand_scalers, labels_of, scores_of
from export.source.foreign.onnx_graph import all_nodes, cut, is_quantised, name_nodes, prune, rename
from export.source.heads import FinalActivation

Floats = npt.NDArray[np.float32]

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Operator sets that onnxruntime computes."""

_OLDEST = 13
"""The first operator set that has quantisation per channel."""

_NEWEST_IR = 10
"""IR version of operator sets up to 22, which every onnxruntime that devices may have can read."""


def read(path: Path, spec: ModelSpec, output: str | None) -> GivenModel:
    """Read an ONNX classifier.

    Args:
        output: name of the output that gives the scores; None if there is one.

    Raises:
        ExportError: the file is damaged, or does not fit the spec; the message is one sentence and a remedy.
    """
    model = _load(path)
    _check_operators(path, model)
    name, scores = _chosen(path, model, output, spec)
    image = _image(path, model)
    sides = image.type.tensor_type.shape.dim
    taken = tuple(side.dim_value if side.dim_value > 0 else None for side in sides)
    layout = layout_of(path, taken, spec, Layout.FIRST)
    labels = labels_of(model.graph) or _named_labels(model)
    given = _with_output(model, scores)
    expand_scalers(model.graph)
    expanded = expand_linear(model.graph, scores)
    logits, end, removed = cut(model.graph, scores)
    prune(_with_outputs(model, logits))
    watched = model.SerializeToString()
    changes = [f"The final {removed} was removed; the network ends at its logits."] if removed else []
    if expanded is not None:
        changes.append("LinearClassifier was written as a matrix product with the same weights.")
    changes += _modernise(path, model)
    changes += _for_devices(path, model, image.name, logits, layout, spec, open_batch=taken[0] is None)
    return GivenModel(
        network=model.SerializeToString(),
        scores=_runner(path, given, layout),
        logits=_runner(path, watched, layout),
        end=end,
        output=name,
        quantised=is_quantised(model.graph),
        step=1 / 128 if is_quantised(model.graph) and end is not FinalActivation.LOGITS else 0.0,
        changes=tuple(changes),
        labels=labels,
    )


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError):
        raise damaged(path, Format.ONNX) from None
    if not model.graph.node:
        raise damaged(path, Format.ONNX)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError):
        entries = [entry for each in model.graph.initializer for entry in each.external_data]
        names = {entry.value for entry in entries if entry.key == "location"}
        raise ExportError(
            f"{path}: found weights in other files, of which {', '.join(sorted(names))} is missing, incomplete or out "
            "of reach, expected them in the same folder. Copy them there again."
        ) from None
    model.ir_version = min(model.ir_version, _NEWEST_IR)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    return model


def _check_operators(path: Path, model: onnx.ModelProto) -> None:
    for node in all_nodes(model.graph):
        if node.domain not in _DOMAINS:
            raise ExportError(
                f"{path}: found operator {node.domain}.{node.op_type} in node {node.name or node.output[0]}, expected "
                "operators of ONNX, which onnxruntime on devices computes. Export the network without custom operators."
            )


def _chosen(path: Path, model: onnx.ModelProto, wanted: str | None, spec: ModelSpec) -> tuple[str, str]:
    """Return the name of the chosen output, and of the value that holds its scores."""
    graph = model.graph
    found = [(value.name, scores_of(graph, value.name)) for value in graph.output]
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    scoring = [(name, scores) for name, scores in found if scores != name or kinds[name] == TensorProto.FLOAT]
    half = [name for name, _ in found if kinds[name] in (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)]
    if half and not scoring:
        raise ExportError(
            f"{path}: found output {half[0]} of {_type(kinds[half[0]])}, expected float32. Convert the network to "
            "float32 (model.float() in PyTorch) and export it again."
        )
    names = [name for name, _ in scoring]
    sizes = {value.name: _values(value) for value in graph.output}
    return scoring[choose_output(path, names, [sizes[name] for name in names], wanted, spec)]


def _values(output: onnx.ValueInfoProto) -> int | None:
    """Return the number of values of an output for one image; None if the file does not state it."""
    sides = [side.dim_value for side in output.type.tensor_type.shape.dim[1:]]
    return math.prod(sides) if sides and all(sides) else None


def _image(path: Path, model: onnx.ModelProto) -> onnx.ValueInfoProto:
    constants = {each.name for each in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ExportError(
            f"{path}: found {len(inputs)} inputs ({names}), expected one, the image. Export the network with the image "
            "as its only input."
        )
    kind = inputs[0].type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        raise ExportError(
            f"{path}: found input {inputs[0].name} of {_type(kind)}, expected float32. Export the network with a "
            "float32 input."
        )
    return inputs[0]


def _type(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower()


def _named_labels(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the labels of the metadata ``names``, ``{0: 'benign', 1: 'malignant'}``, as some exporters write them."""
    import ast

    text = next((entry.value for entry in model.metadata_props if entry.key == "names"), "")
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return ()
    if isinstance(found, dict):
        found = [found[key] for key in sorted(found)]
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _with_output(model: onnx.ModelProto, name: str) -> bytes:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return bytes(_with_outputs(copy, name).SerializeToString())


def _with_outputs(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Make a value the only output."""
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model


def _modernise(path: Path, model: onnx.ModelProto) -> list[str]:
    """Raise an operator set that is too old for quantisation."""
    (found,) = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    changes = []
    if found < _OLDEST:
        try:
            model.CopyFrom(onnx.version_converter.convert_version(model, OPSET))
        except (RuntimeError, onnx.checker.ValidationError) as error:
            why = " ".join(str(error).split())[:120]
            raise ExportError(
                f"{path}: found operator set {found}, which could not be raised to {OPSET} ({why}), expected {_OLDEST} "
                f"or more. Export the network again with opset_version={OPSET}."
            ) from None
        changes.append(f"The operator set was raised from {found} to {OPSET}.")
        model.ir_version = min(model.ir_version, _NEWEST_IR)
    return changes


def _for_devices(
    path: Path, model: onnx.ModelProto, image: str, logits: str, layout: Layout, spec: ModelSpec, *, open_batch: bool
) -> list[str]:
    """Give the graph the input of devices, N×H×W×C float32, and their names of input and output."""
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    names = {name: f"{name}/inner" for name in (INPUT, OUTPUT) if name in taken and name not in (image, logits)}
    inner = f"{INPUT}/{'row' if layout is Layout.FLAT else layout.name.lower()}"
    names[image], names[logits] = INPUT if layout is Layout.LAST else inner, OUTPUT
    rename(graph, names)
    (width, height), batch = spec.size_px, BATCH if open_batch else 1
    constants = [value for value in graph.input if value.name in {each.name for each in graph.initializer}]
    del graph.input[:], graph.output[:]
    shape = [batch, height, width, spec.channels]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape))
    graph.input.extend(constants)
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, spec.outputs]))
    changes = []
    if layout is Layout.FIRST:
        graph.node.insert(
            0, helper.make_node("Transpose", [INPUT], [inner], name="to_channels_first", perm=[0, 3, 1, 2])
        )
        changes.append("Its input has channels first; a Transpose was inserted, so that devices give channels last.")
    elif layout is Layout.FLAT:
        row = numpy_helper.from_array(np.array([-1, height * width * spec.channels], np.int64), f"{INPUT}/shape")
        graph.initializer.append(row)
        graph.node.insert(0, helper.make_node("Reshape", [INPUT, row.name], [inner], name="to_row"))
        changes.append("Its input is one row; a Reshape was inserted, which joins height, width and channels.")
    name_nodes(graph)
    model.graph.name = "network"
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        why = " ".join(str(error).split())[:160]
        raise ExportError(f"{path}: found an invalid graph ({why}), expected a valid one. Export it again.") from None
    return changes


def _runner(path: Path, content: bytes, layout: Layout) -> Callable[[Floats], Floats]:
    """Return a function that runs a graph in the order of values that it was given with."""

    def run(tensors: Floats) -> Floats:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=["Pad_Fusion"],  # see keep_zeros_before_max_pools
            )
            name = session.get_inputs()[0].name
            rows: list[Any] = [session.run(None, {name: layout.of(tensors[i : i + 1])})[0] for i in range(len(tensors))]
        except Exception as error:  # onnxruntime's errors have no common root
            raise ExportError(
                f"{path}: onnxruntime {onnxruntime.__version__} does not run it ({_first_line(error)}), expected "
                "operators that it computes. Export it again with opset_version=17 and without custom operators."
            ) from None
        return np.concatenate([np.asarray(row, np.float32) for row in rows])

    return run


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
