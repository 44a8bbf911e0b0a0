"""ONNX models on onnxruntime."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import BackendError, InterpreterBrokenError, InterpreterMissingError
from edge_runtime.inference.backends.base import Provider, Runtime
from edge_runtime.inference.backends.registry import REMEDY
from edge_runtime.platform.fork_safety import ForkSafeLock, keep, opening, renew_in_child
from edge_runtime.platform.machine_faults import machine_error

NAMES = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
}
"""What onnxruntime calls its execution providers."""

_AFTER = {
    Provider.CPU: (),
    Provider.CUDA: (Provider.CPU,),
    Provider.TENSORRT: (Provider.CUDA, Provider.CPU),
}
"""Who computes the operators that a provider lacks."""

_UNWANTED = ["WeightBiasQuantization"]
"""Of onnxruntime's rewritings (1.21 on, PR #22969): it rounds the weights of layers that an int8 file keeps in float32,
all channels by one scale."""


class OnnxRuntimeBackend:
    """One opened onnxruntime session; int8 models take and give float32 (QDQ)."""

    runtime = Runtime.ONNXRUNTIME

    def __init__(self, model: bytes, threads: int, provider: Provider = Provider.CPU) -> None:
        """Open ``model`` with the provider, which is never replaced by another one.

        Raises:
            InterpreterMissingError: onnxruntime was built without the provider.
            InterpreterBrokenError: the package does not import here, or refuses the model.
        """
        self._lock = ForkSafeLock()
        self._open: Callable[[], Any] | None = partial(_open, model, threads, provider)
        with opening:
            self._session = self._open()
        self.version = str(sys.modules["onnxruntime"].__version__)
        entry = self._session.get_inputs()[0]
        self._input, self._shape = entry.name, tuple(entry.shape[1:])
        self._logits = [self._session.get_outputs()[0].name]
        renew_in_child(self)

    def renew(self) -> None:
        """See :mod:`edge_runtime.platform.fork_safety`."""
        keep(self._session)
        self._session = None

    def quantise(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """See :class:`edge_runtime.inference.backends.base.Backend`; the file quantises by itself."""
        return values

    def run(self, tensors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        with self._lock.held:
            self._check(tensors)
            rows = [self._session.run(self._logits, {self._input: tensors[i : i + 1]})[0] for i in range(len(tensors))]
        return np.asarray(rows[0] if len(rows) == 1 else np.concatenate(rows), dtype=np.float32)

    def outputs(self, tensor: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], ...]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        with self._lock.held:
            self._check(tensor)
            return tuple(given[0] for given in self._session.run(None, {self._input: tensor}))

    def _check(self, tensors: npt.NDArray[Any]) -> None:
        """Refuse tensors of another shape, and any once the model is closed; in a child process, open it again."""
        if tensors.shape[1:] != self._shape:
            raise BackendError(f"tensor of shape {tensors.shape[1:]}, the model expects {self._shape}.")
        if self._open is None:
            raise BackendError("this model was closed; load it again.")
        if self._session is None:
            with opening:
                self._session = self._open()

    def close(self) -> None:
        """Release the session and its memory."""
        with self._lock.held:
            self._session = self._open = None


def silence() -> None:
    """Forbid onnxruntime to tell its maker anything; to be called before it is imported.

    Official wheels for Linux from 1.29 on send usage data over the network, and keep a device identifier and a data
    base in the user's cache, unless this variable is set before the process's first session (its PR #27379).
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def _open(model: bytes, threads: int, provider: Provider) -> Any:
    silence()
    try:
        import onnxruntime
    except ImportError as error:
        if fault := machine_error(error, "onnxruntime"):
            raise fault from None
        raise InterpreterBrokenError(
            f"onnxruntime is installed but does not import: {error}. Reinstall it with: {REMEDY[Runtime.ONNXRUNTIME]}"
        ) from None
    if hasattr(onnxruntime, "disable_telemetry_events"):  # a program around this one may have opened a session before
        onnxruntime.disable_telemetry_events()
    there = onnxruntime.get_available_providers()
    if NAMES[provider] not in there:
        raise _missing(provider, there)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Results depend on the level, so it is part of the contract; ALL is what parity was measured with.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Waiting threads would otherwise spin and take the cores from whoever shares the board.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # On x86-64 without VNNI the kernels for uint8 times int8 add pairs of products in 16 bits, which saturate: answers
    # differ without an error. This takes kernels that do not; elsewhere it changes nothing.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        names = [NAMES[each] for each in (provider, *_AFTER[provider]) if NAMES[each] in there]
        session = onnxruntime.InferenceSession(model, options, providers=names, disabled_optimizers=_UNWANTED)
    except Exception as error:  # onnxruntime's exceptions have no public base class
        if fault := machine_error(error, "onnxruntime"):
            raise fault from None
        raise InterpreterBrokenError(
            f"onnxruntime {onnxruntime.__version__} refuses this model: {str(error).strip()[:300]} "
            "Update it, or use --backend litert."
        ) from None
    if session.get_providers()[0] != NAMES[provider]:  # onnxruntime itself only warns
        raise InterpreterBrokenError(
            f"onnxruntime has {NAMES[provider]} but it does not start here, and {session.get_providers()[0]} would "
            "have answered instead. Mend the driver and libraries that it needs, or use --provider cpu."
        )
    return session


def _missing(provider: Provider, there: list[str]) -> InterpreterMissingError:
    usable = [each.value for each in Provider if NAMES[each] in there]
    return InterpreterMissingError(
        f"found onnxruntime with the providers {', '.join(there)}, expected {NAMES[provider]}. Install a build of "
        f"onnxruntime that has it, such as onnxruntime-gpu, or use --provider {' or '.join(usable)}."
    )
