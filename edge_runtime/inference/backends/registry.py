"""Which interpreters there are, which of them runs a model here, and how it is opened."""

from __future__ import annotations

import importlib.util

from edge_runtime.bundle.runtime_manifest import Format
from edge_runtime.errors import InterpreterMissingError, UsageError
from edge_runtime.inference.backends.base import Backend, Provider, Runtime

MODULE = {
    Runtime.LITERT: "ai_edge_litert",
    Runtime.TFLITE: "tflite_runtime",
    Runtime.ONNXRUNTIME: "onnxruntime",
}
REMEDY = {
    Runtime.LITERT: 'pip install "ai-edge-litert>=2.0.2,<2.4"',
    Runtime.TFLITE: 'pip install "tflite-runtime>=2.14,<2.15" "numpy<2" "opencv-python-headless>=4.11.0.86,<4.12"',
    Runtime.ONNXRUNTIME: 'pip install "onnxruntime>=1.23.2,<1.33"',
}
FORMAT = {
    Runtime.LITERT: Format.TFLITE,
    Runtime.TFLITE: Format.TFLITE,
    Runtime.ONNXRUNTIME: Format.ONNX,
}


def installed(runtime: Runtime) -> bool:
    """Tell whether the runtime's package can be found, without importing it."""
    return importlib.util.find_spec(MODULE[runtime]) is not None


def choose(wanted: Runtime, formats: frozenset[Format]) -> Runtime:
    """Return the runtime to use for a model that exists in ``formats``.

    Raises:
        InterpreterMissingError: it is not installed, or it cannot read any of the formats; the message
            holds the pip command that mends it.
    """
    able = [runtime for runtime in FORMAT if FORMAT[runtime] in formats]
    if wanted is Runtime.AUTO:
        for runtime in able:
            if installed(runtime):
                return runtime
        remedies = " or: ".join(REMEDY[runtime] for runtime in able)
        raise InterpreterMissingError(f"Found no interpreter for this model. Install one with: {remedies}")
    if wanted not in able:
        kinds = ", ".join(sorted(f.value for f in formats))
        raise InterpreterMissingError(
            f"{wanted.value} reads {FORMAT[wanted].value} files, this model has {kinds}. "
            f"Use --backend {able[0].value}, or export the model to {FORMAT[wanted].value} too."
        )
    if not installed(wanted):
        raise InterpreterMissingError(f"{wanted.value} is not installed here. Install it with: {REMEDY[wanted]}")
    return wanted


def for_provider(wanted: Runtime, provider: Provider) -> Runtime:
    """Return the runtime to ask :func:`choose` for: onnxruntime where a provider other than the processor is wanted.

    Raises:
        UsageError: another runtime is wanted by name, which has no such provider.
    """
    if provider is Provider.CPU:
        return wanted
    if wanted not in (Runtime.AUTO, Runtime.ONNXRUNTIME):
        raise UsageError(
            f"found provider {provider.value} with {wanted.value}, expected onnxruntime, which alone has it. "
            "Use --backend onnxruntime, or leave out the provider."
        )
    return Runtime.ONNXRUNTIME


def ran_by(runtime: Runtime, provider: Provider) -> str:
    """Return what an answer names as its backend: the runtime, and its provider unless that is the processor."""
    return runtime.value if provider is Provider.CPU else f"{runtime.value}+{provider.value}"


def open_model(model: bytes, runtime: Runtime, *, threads: int = 1, provider: Provider = Provider.CPU) -> Backend:
    """Open a model file's bytes on a runtime that :func:`choose` returned; ``provider`` is onnxruntime's.

    Raises:
        InterpreterMissingError: onnxruntime is here without that provider.
        InterpreterBrokenError: the package does not start here, or refuses the model.
    """
    if runtime is Runtime.ONNXRUNTIME:
        from edge_runtime.inference.backends.onnxruntime import (
            OnnxRuntimeBackend,  # here: only what is used is imported
        )

        return OnnxRuntimeBackend(model, threads, provider)
    from edge_runtime.inference.backends.litert import LiteRtBackend

    return LiteRtBackend(model, runtime, threads)
