"""Backend for TFLite models, on ai-edge-litert or tflite-runtime."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import BackendError, InterpreterBrokenError, MachineError
from edge_runtime.inference.backends.base import MOMENTS, Runtime
from edge_runtime.inference.backends.registry import REMEDY
from edge_runtime.platform.fork_safety import ForkSafeLock, keep, opening, renew_in_child
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.stderr_capture import listen

_GREETING = b"^INFO: "


class LiteRtBackend:
    """An opened TFLite interpreter. Both packages have the same interface."""

    def __init__(self, model: bytes, runtime: Runtime, threads: int) -> None:
        """Open ``model``.

        Raises:
            InterpreterBrokenError: the package does not load, or rejects the model.
        """
        self.runtime = runtime
        self._lock = ForkSafeLock()
        self._open: Callable[[], Any] | None = partial(_open, model, runtime, threads)
        self._interpreter = self._open()
        self.version = _version(_interpreter_class(runtime))
        self._input = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()
        self._input_index, self._logits_index = self._input["index"], outputs[0]["index"]
        named = {detail["name"]: detail["index"] for detail in outputs}
        self._moments_index: int | None = named.get(MOMENTS)
        indices = (detail["index"] for detail in outputs)
        self._output_indices = tuple(index for index in indices if index != self._moments_index)
        self._shape = tuple(int(side) for side in self._input["shape"][1:])
        self._dtype = np.dtype(self._input["dtype"])
        self._logit_of = _logit_of_level(outputs[0])
        renew_in_child(self)

    def renew(self) -> None:
        """See :mod:`edge_runtime.platform.fork_safety`."""
        keep(self._interpreter)
        self._interpreter = None

    def quantise(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        return _quantise(values, self._input)

    def run(self, tensors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        with self._lock.held:
            self._check(tensors)
            if len(tensors) == 1:
                return self._run_one(tensors)
            return np.concatenate([self._run_one(tensors[i : i + 1]) for i in range(len(tensors))])

    def run_with_moments(
        self, tensors: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        if self._moments_index is None:
            return self.run(tensors), None
        with self._lock.held:
            self._check(tensors)
            if len(tensors) == 1:
                return self._run_one(tensors), self._interpreter.get_tensor(self._moments_index).reshape(1, -1)
            logits, moments = [], []
            for i in range(len(tensors)):
                logits.append(self._run_one(tensors[i : i + 1]))
                moments.append(self._interpreter.get_tensor(self._moments_index).reshape(1, -1))
            return np.concatenate(logits), np.concatenate(moments)

    def outputs(self, tensor: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], ...]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        with self._lock.held:
            self._check(tensor)
            logits = self._run_one(tensor)
            return logits[0], *(self._interpreter.get_tensor(index)[0] for index in self._output_indices[1:])

    def _check(self, tensors: npt.NDArray[Any]) -> None:
        """Reject a wrong shape and a closed model. In a forked child process, open the model again."""
        if tensors.shape[1:] != self._shape:
            raise BackendError(f"found a tensor of shape {tensors.shape[1:]}, expected {self._shape}.")
        if self._open is None:
            raise BackendError("this model was closed. Load it again.")
        if self._interpreter is None:
            self._interpreter = self._open()

    def _run_one(self, tensor: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the logits of one image, 1×H×W×C. The interpreter copies its input and its output."""
        ready = tensor if tensor.dtype == self._dtype else _quantise(tensor, self._input)
        self._interpreter.set_tensor(self._input_index, ready)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise _refusal(error, self.runtime, "cannot run") from None
        logits: npt.NDArray[Any] = self._interpreter.get_tensor(self._logits_index)
        return logits if self._logit_of is None else self._logit_of[logits]

    def close(self) -> None:
        """Release the interpreter and its memory."""
        with self._lock.held:
            self._interpreter = self._open = None


_NO_BUILTIN = r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'"
_NO_CUSTOM = r"Encountered unresolved custom op: (\w+)"


def _open(model: bytes, runtime: Runtime, threads: int) -> Any:
    with opening:
        interpreter_class = _interpreter_class(runtime)
        try:
            return listen(lambda: _start(interpreter_class, model, threads), _GREETING)[0]
        except (ValueError, RuntimeError, SystemError, TypeError) as error:
            raise _refusal(error, runtime, "rejects") from None


def _refusal(error: Exception, runtime: Runtime, verb: str) -> MachineError | InterpreterBrokenError:
    """Return the error for an exception of the interpreter: the machine's fault, or the model's."""
    return machine_error(error, runtime.value) or InterpreterBrokenError(
        f"{runtime.value} {verb} this model: {_cause(str(error))} Update the interpreter, or use --backend onnxruntime."
    )


def _cause(text: str) -> str:
    """Return why an interpreter rejects a file, as a sentence, from its message of one or more lines."""
    if lacking := re.search(_NO_BUILTIN, text):
        return f"it lacks version {lacking[2]} of the operator {lacking[1]}."
    if custom := re.search(_NO_CUSTOM, text):
        return f"it lacks the custom operator {custom[1]}."
    if "XNNPACK" in text:
        return "its XNNPACK delegate cannot run one of the operators."
    return " ".join(text.split())[:300].rstrip(".") + "."


def _version(interpreter_class: Any) -> str:
    """Return the package's version. Both packages have it in ``__version__``."""
    package = sys.modules[interpreter_class.__module__.split(".")[0]]
    return str(getattr(package, "__version__", "of unknown version"))


def _start(interpreter_class: Any, model: bytes, threads: int) -> Any:
    interpreter = interpreter_class(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _quantise(values: npt.NDArray[np.float32], detail: dict[str, Any]) -> npt.NDArray[Any]:
    """Return ``round(x / scale) + zero point`` (ties to even, as ONNX QuantizeLinear), saturated."""
    if detail["dtype"] is np.float32:
        return values
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    steps = values / np.float32(scale)
    np.rint(steps, out=steps)
    steps += zero_point
    return np.clip(steps, limits.min, limits.max, out=steps).astype(detail["dtype"])


def _dequantise(values: npt.NDArray[Any], detail: dict[str, Any]) -> npt.NDArray[np.float32]:
    if detail["dtype"] is np.float32:
        return values
    scale, zero_point = detail["quantization"]
    return np.asarray((values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale))


def _logit_of_level(detail: dict[str, Any]) -> npt.NDArray[np.float32] | None:
    """Return the logit of each output level, indexed by level (-1 is the last entry); None for a float output."""
    if detail["dtype"] is np.float32:
        return None
    bits = np.iinfo(detail["dtype"]).bits  # 8, or 16 for 16-bit activations
    levels = np.arange(1 << bits, dtype=f"uint{bits}").view(detail["dtype"])
    return _dequantise(levels, detail)


def _interpreter_class(runtime: Runtime) -> Any:
    """Import the interpreter. Reject tflite-runtime with numpy 2, which would fail later with a SystemError."""
    if runtime is Runtime.TFLITE and int(np.__version__.split(".")[0]) >= 2:
        raise InterpreterBrokenError(
            f"tflite-runtime was built for numpy 1 and cannot run with numpy {np.__version__}. "
            f"Install matching versions with: {REMEDY[runtime]} "
            f"or use its maintained successor: {REMEDY[Runtime.LITERT]}"
        )
    try:
        if runtime is Runtime.LITERT:
            from ai_edge_litert.interpreter import Interpreter
        else:
            from tflite_runtime.interpreter import Interpreter
    except ImportError as error:
        if fault := machine_error(error, runtime.value):
            raise fault from None
        raise InterpreterBrokenError(
            f"{runtime.value} is installed but cannot be imported: {error}. Reinstall it with: {REMEDY[runtime]}"
        ) from None
    return Interpreter
