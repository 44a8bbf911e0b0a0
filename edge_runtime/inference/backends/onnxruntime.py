"""Backend for ONNX models, on onnxruntime."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import BackendError, InterpreterBrokenError, InterpreterMissingError
from edge_runtime.inference.backends.base import MOMENTS, Provider, Runtime
from edge_runtime.inference.backends.registry import REMEDY
from edge_runtime.platform.fork_safety import ForkSafeLock, keep, opening, renew_in_child
from edge_runtime.platform.machine_faults import machine_error
from edge_runtime.platform.processor import has_avx512_vnni

NAMES = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
}
"""Names of the execution providers in onnxruntime."""

_AFTER = {
    Provider.CPU: (),
    Provider.CUDA: (Provider.CPU,),
    Provider.TENSORRT: (Provider.CUDA, Provider.CPU),
}
"""Providers that compute the operators which a provider lacks."""

_DISABLED_OPTIMISERS = ["WeightBiasQuantization"]
"""Graph optimisers of onnxruntime that must not run. This one (since 1.21, PR #22969) quantises the weights of layers
that an int8 file keeps in float32, with one scale for all channels."""


class OnnxRuntimeBackend:
    """An opened onnxruntime session. Int8 models have float32 inputs and outputs (QDQ)."""

    runtime = Runtime.ONNXRUNTIME

    def __init__(self, model: bytes, threads: int, provider: Provider = Provider.CPU) -> None:
        """Open ``model`` with the provider. There is no silent fallback to another provider.

        Raises:
            InterpreterMissingError: onnxruntime was built without the provider.
            InterpreterBrokenError: the package cannot be imported, or rejects the model.
        """
        self._lock = ForkSafeLock()
        self._open: Callable[[], Any] | None = partial(_open, model, threads, provider)
        with opening:
            self._session = self._open()
        self.version = str(sys.modules["onnxruntime"].__version__)
        entry = self._session.get_inputs()[0]
        self._input, self._shape = entry.name, tuple(entry.shape[1:])
        outputs = [output.name for output in self._session.get_outputs()]
        self._logits, self._outputs = outputs[:1], [name for name in outputs if name != MOMENTS]
        self._judged = [*self._logits, MOMENTS] if MOMENTS in outputs else None
        renew_in_child(self)

    def renew(self) -> None:
        """See :mod:`edge_runtime.platform.fork_safety`."""
        keep(self._session)
        self._session = None

    def quantise(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return ``values`` unchanged: the ONNX graph contains the quantisation."""
        return values

    def run(self, tensors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        (logits,) = self._run(self._logits, tensors)
        return logits

    def run_with_moments(
        self, tensors: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        if self._judged is None:
            return self.run(tensors), None
        logits, moments = self._run(self._judged, tensors)
        return logits, moments

    def outputs(self, tensor: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], ...]:
        """See :class:`edge_runtime.inference.backends.base.Backend`."""
        with self._lock.held:
            self._check(tensor)
            return tuple(output[0] for output in self._session.run(self._outputs, {self._input: tensor}))

    def _run(self, names: list[str], tensors: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        """Return the outputs of these names, float32 with N rows each, of N images that are run one by one."""
        with self._lock.held:
            self._check(tensors)
            if len(tensors) == 1:
                found = self._session.run(names, {self._input: tensors})
            else:
                rows = [self._session.run(names, {self._input: tensors[i : i + 1]}) for i in range(len(tensors))]
                found = [np.concatenate(each) for each in zip(*rows, strict=True)]
        return [np.asarray(output, dtype=np.float32) for output in found]

    def _check(self, tensors: npt.NDArray[Any]) -> None:
        """Reject a wrong shape and a closed model. In a forked child process, open the model again."""
        if tensors.shape[1:] != self._shape:
            raise BackendError(f"found a tensor of shape {tensors.shape[1:]}, expected {self._shape}.")
        if self._open is None:
            raise BackendError("this model was closed. Load it again.")
        if self._session is None:
            with opening:
                self._session = self._open()

    def close(self) -> None:
        """Release the session and its memory."""
        with self._lock.held:
            self._session = self._open = None


def silence() -> None:
    """Disable the telemetry of onnxruntime. Call this before onnxruntime is imported.

    Official Linux wheels since 1.29 send usage data over the network, and store a device identifier and a database in
    the user's cache. This variable prevents both if it is set before the first session of the process (PR #27379).
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
            f"onnxruntime is installed but cannot be imported: {error}. "
            f"Reinstall it with: {REMEDY[Runtime.ONNXRUNTIME]}"
        ) from None
    if hasattr(onnxruntime, "disable_telemetry_events"):  # the calling program may have opened a session before
        onnxruntime.disable_telemetry_events()
    available = onnxruntime.get_available_providers()
    if NAMES[provider] not in available:
        raise _missing(provider, available)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Results depend on the optimisation level, so it is fixed. Parity was measured with ALL.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Without this, waiting threads spin and take processor time from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # On x86-64 without VNNI, the kernels for uint8 × int8 add pairs of products in 16 bits, which saturate. Results
    # then differ without an error. This option selects kernels that do not saturate. With VNNI it changes no bit, but
    # onnxruntime 1.31 takes up to twice the time with it. It has no effect on Arm.
    options.add_session_config_entry("session.x64quantprecision", "0" if has_avx512_vnni() else "1")
    try:
        names = [NAMES[each] for each in (provider, *_AFTER[provider]) if NAMES[each] in available]
        session = onnxruntime.InferenceSession(
            model, options, providers=names, disabled_optimizers=_DISABLED_OPTIMISERS
        )
    except Exception as error:  # onnxruntime's exceptions have no public base class
        if fault := machine_error(error, "onnxruntime"):
            raise fault from None
        raise InterpreterBrokenError(
            f"onnxruntime {onnxruntime.__version__} rejects this model: {str(error).strip()[:300]} "
            "Update it, or use --backend litert."
        ) from None
    if session.get_providers()[0] != NAMES[provider]:  # onnxruntime only prints a warning
        raise InterpreterBrokenError(
            f"found {session.get_providers()[0]} in use, expected {NAMES[provider]}, which does not start here. "
            "Repair the driver and libraries that it needs, or use --provider cpu."
        )
    return session


def _missing(provider: Provider, available: list[str]) -> InterpreterMissingError:
    usable = [each.value for each in Provider if NAMES[each] in available]
    return InterpreterMissingError(
        f"found onnxruntime with the providers {', '.join(available)}, expected {NAMES[provider]}. Install a build of "
        f"onnxruntime that has it, such as onnxruntime-gpu, or use --provider {' or '.join(usable)}."
    )
