"""The available interpreters: select one for a model, and open the model with it."""

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
    """Return whether the runtime's package is installed, without importing it."""
    return importlib.util.find_spec(MODULE[runtime]) is not None


def choose(wanted: Runtime, formats: frozenset[Format]) -> Runtime:
    """Return the runtime for a model that is available in ``formats``.

    Args:
        wanted: the requested runtime, or ``AUTO``.
        formats: file formats of the model.

    Raises:
        InterpreterMissingError: the runtime is not installed, or cannot read any of the formats. The message contains
            the pip command or option that helps.
    """
    able = [runtime for runtime in FORMAT if FORMAT[runtime] in formats]
    if wanted is Runtime.AUTO:
        for runtime in able:
            if installed(runtime):
                return runtime
        remedies = " or: ".join(REMEDY[runtime] for runtime in able)
        raise InterpreterMissingError(f"found no interpreter for this model. Install one with: {remedies}")
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
    """Return the runtime to pass to :func:`choose`: onnxruntime for every provider except the processor.

    Raises:
        UsageError: ``wanted`` is another runtime, which does not have the provider.
    """
    if provider is Provider.CPU:
        return wanted
    if wanted not in (Runtime.AUTO, Runtime.ONNXRUNTIME):
        raise UsageError(
            f"found provider {provider.value} with {wanted.value}, expected onnxruntime. "
            "Use --backend onnxruntime, or remove the provider."
        )
    return Runtime.ONNXRUNTIME


def ran_by(runtime: Runtime, provider: Provider) -> str:
    """Return the ``backend`` value of predictions: the runtime, and the provider unless it is the processor."""
    return runtime.value if provider is Provider.CPU else f"{runtime.value}+{provider.value}"


def open_model(model: bytes, runtime: Runtime, *, threads: int = 1, provider: Provider = Provider.CPU) -> Backend:
    """Open the bytes of a model file on a runtime from :func:`choose`. Only onnxruntime uses ``provider``.

    Raises:
        InterpreterMissingError: the installed onnxruntime does not have the provider.
        InterpreterBrokenError: the package does not load, or rejects the model.
    """
    if runtime is Runtime.ONNXRUNTIME:  # imported here, as below: only the selected runtime is loaded
        from edge_runtime.inference.backends.onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(model, threads, provider)
    from edge_runtime.inference.backends.litert import LiteRtBackend

    return LiteRtBackend(model, runtime, threads)
