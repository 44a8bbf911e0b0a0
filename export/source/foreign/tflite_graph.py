"""Edit the graph of a .tflite file (a ``ModelT`` of TFLite's schema): final activation, dead operators, float16."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.source.heads import FinalActivation

CODES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
TYPES = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}

_ENDS = {
    "SOFTMAX": FinalActivation.SOFTMAX,
    "LOG_SOFTMAX": FinalActivation.SOFTMAX,
    "LOGISTIC": FinalActivation.SIGMOID,
}
_LINEAR = ("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONV_2D", "FULLY_CONNECTED", "MEAN")
_SHAPING = ("RESHAPE", "SQUEEZE")
_ROUNDING = ("DEQUANTIZE", "QUANTIZE")
_INTEGERS = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16)


def code_of(model: Any, operator: Any) -> str:
    """Return the name of an operator, for example ``CONV_2D``."""
    entry = model.operatorCodes[operator.opcodeIndex]
    return str(CODES[max(entry.builtinCode, entry.deprecatedBuiltinCode)])


def cut(model: Any) -> tuple[FinalActivation, str, float]:
    """Take the final softmax or sigmoid out of a graph with one output.

    The output of an int8 graph then has the scale of its logits.

    Returns:
        The activation that was removed, the operator's name, empty if nothing was removed, and the largest step of the
        values after it, 0 for float32.
    """
    graph = model.subgraphs[0]
    chain = list(_chain(model, graph))
    last = chain[-1] if chain else None
    end = None if last is None else _ENDS.get(code_of(model, last))
    if last is None or (end is None and code_of(model, last) not in _LINEAR):
        return FinalActivation.UNKNOWN, "", 0.0
    if end is None:
        return _fused(last), "", 0.0
    if getattr(last.builtinOptions, "beta", 1.0) not in (0.0, 1.0):
        return FinalActivation.UNKNOWN, "", 0.0
    step = max(step_of(graph.tensors[operator.outputs[0]]) for operator in chain)
    place = int(last.inputs[0])
    for operator in reversed(chain[:-1]):
        if code_of(model, operator) in _SHAPING:
            logits, shaped = graph.tensors[place], graph.tensors[operator.outputs[0]]
            shaped.type, shaped.quantization = logits.type, logits.quantization
            operator.inputs[0] = place
            place = int(operator.outputs[0])
    graph.outputs = [place]
    return end, code_of(model, last), step


def _fused(operator: Any) -> FinalActivation:
    """Return LOGITS unless the operator has an activation such as ReLU inside."""
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    return FinalActivation.UNKNOWN if fused else FinalActivation.LOGITS


def _chain(model: Any, graph: Any) -> Iterator[Any]:
    """Yield the operators from the output back to the first that computes more than another shape or type."""
    made = {int(index): operator for operator in graph.operators for index in operator.outputs}
    operator = made.get(int(graph.outputs[0]))
    while operator is not None:
        yield operator
        passing = code_of(model, operator) in (*_SHAPING, *_ROUNDING)
        operator = made.get(int(operator.inputs[0])) if passing else None


def prune(model: Any) -> None:
    """Remove the operators that no output needs, and the signatures, which name the old outputs."""
    graph = model.subgraphs[0]
    needed, kept = {int(index) for index in graph.outputs}, []
    for operator in reversed(graph.operators):
        if needed & {int(index) for index in operator.outputs}:
            kept.append(operator)
            needed.update(int(index) for index in operator.inputs)
    graph.operators = kept[::-1]
    model.signatureDefs = None
    _prune_codes(model)


def _prune_codes(model: Any) -> None:
    """Remove the operator codes that no operator has; the calibrator refuses such a code."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def widen_float16(model: Any) -> bool:
    """Store float16 weights as float32, which the interpreter makes of them when it opens the file."""
    graph = model.subgraphs[0]
    rest, widened = [], False
    for operator in graph.operators:
        source = graph.tensors[operator.inputs[0] if len(operator.inputs) else operator.outputs[0]]
        constant = source.type == schema.TensorType.FLOAT16 and _data(model, source) is not None
        if not (constant and code_of(model, operator) == "DEQUANTIZE"):
            rest.append(operator)
            continue
        buffer = schema.BufferT()
        values = np.frombuffer(bytes(_data(model, source)), np.float16).astype("<f4")
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        target = graph.tensors[operator.outputs[0]]
        target.buffer, target.type, widened = len(model.buffers) - 1, schema.TensorType.FLOAT32, True
        model.buffers[source.buffer].data = None
    graph.operators = rest
    _prune_codes(model)
    return widened


def _data(model: Any, tensor: Any) -> Any:
    data = model.buffers[tensor.buffer].data
    return data if data is not None and len(data) else None


def is_quantised(model: Any) -> bool:
    """Return whether any operator reads or makes quantised values."""
    graph = model.subgraphs[0]
    used = {int(i) for operator in graph.operators for i in (*operator.inputs, *operator.outputs) if i >= 0}
    return any(graph.tensors[i].type in _INTEGERS and _scale(graph.tensors[i]) > 0 for i in used)


def _scale(tensor: Any) -> float:
    scales = None if tensor.quantization is None else tensor.quantization.scale
    return 0.0 if scales is None or not len(scales) else float(scales[0])


def step_of(tensor: Any) -> float:
    """Return the difference of two neighbouring values of a tensor; 0 for a float tensor."""
    return _scale(tensor) if tensor.type in _INTEGERS else 0.0
