"""Writing a .tflite flatbuffer: what is equal is written once, and weights lie where the schema wants them.

Tensors and operators are added to a ``ModelT`` here.
"""

from __future__ import annotations

import hashlib
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
_ALIGNED = 16
"""TFLite's schema: ``Buffer.data`` has ``force_align: 16``."""


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers ships no types
    """A builder whose tables point to one copy of equal vectors and strings, as the format allows.

    A channel's zero point takes 8 bytes and is 0, twice: with its weight and with its bias. Shared, they all but
    vanish: 141 of ShuffleNet's 1,794 KB, 703 of EfficientNetV2B0's 7,140 KB.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802  # overrides
        key = x.dtype.str, hashlib.sha256(x.tobytes()).digest()
        if key not in self._written:
            if x.dtype == np.uint8:  # the contents of a buffer; the length before them takes 4 bytes
                self.Prep(_ALIGNED, x.size)
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]

    def CreateString(self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802
        key = "string", s if isinstance(s, bytes) else s.encode(encoding, errors)
        if key not in self._written:
            self._written[key] = super().CreateString(s, encoding, errors)
        return self._written[key]


def packed(model: Any) -> bytes:
    """Return a ``ModelT`` of TFLite's schema as the bytes of its file."""
    builder = _Builder(1 << 16)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def add_tensor(graph: Any, name: str, shape: list[int], kind: int) -> int:
    """Add a tensor of a type of TFLite's schema, without content; return its index."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def store(model: Any, graph: Any, index: int, values: npt.NDArray[Any]) -> None:
    """Make a tensor a constant with these values."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    graph.tensors[index].buffer = len(model.buffers) - 1


def new_operator(
    model: Any, name: str, inputs: list[int], output: int, options: Any = None, version: int = 1
) -> schema.OperatorT:
    """Return an operator, and add its code to the model if it is missing."""
    code = getattr(schema.BuiltinOperator, name)
    known = [(each.builtinCode, each.version) for each in model.operatorCodes]
    if (code, version) not in known:
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = version
        model.operatorCodes.append(entry)
        known.append((code, version))
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = known.index((code, version)), inputs, [output]
    if options is not None:
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    return operator
