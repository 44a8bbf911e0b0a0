"""Inference of breast-imaging classifiers on edge devices, without TensorFlow.

    from edge_runtime import Predictor

    with Predictor.load("idc-patch-compact") as predictor:
        prediction = predictor.predict("patch.png")
        print(prediction.verdict.decision, prediction.verdict.score)

Each prediction is a decision (POSITIVE, NEGATIVE or REFER) with its reason. Decision support for trained people; not a
medical device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOMES = {
    "Provider": "edge_runtime.inference.backends.base",
    "Runtime": "edge_runtime.inference.backends.base",
    "DEFAULT_MODEL": "edge_runtime.bundle.registry.default_model",
    "Precision": "edge_runtime.bundle.runtime_manifest",
    "Decision": "edge_runtime.decision.verdict",
    "Reason": "edge_runtime.decision.verdict",
    "Verdict": "edge_runtime.decision.verdict",
    "BackendError": "edge_runtime.errors",
    "BundleError": "edge_runtime.errors",
    "EdgeError": "edge_runtime.errors",
    "ImageError": "edge_runtime.errors",
    "MachineError": "edge_runtime.errors",
    "UsageError": "edge_runtime.errors",
    "Failure": "edge_runtime.inference.prediction",
    "Prediction": "edge_runtime.inference.prediction",
    "Timing": "edge_runtime.inference.prediction",
    "Predictor": "edge_runtime.predictor",
    "PredictorConfig": "edge_runtime.inference.config",
    "Marked": "edge_runtime.images.region",
    "Region": "edge_runtime.images.region",
    "Explanation": "edge_runtime.explain.explanation",
    "heatmap_png": "edge_runtime.explain.overlay",
    "ModelSpec": "edge_runtime.bundle.spec",
    "ColourOrder": "edge_runtime.images.colour",
    "SlidePrediction": "edge_runtime.tiling.slide",
    "open_slide": "edge_runtime.slides.slide",
}
"""Module of each public name. A name is imported on first use, so that a command imports only what it needs."""

if TYPE_CHECKING:
    from edge_runtime.bundle.registry.default_model import DEFAULT_MODEL
    from edge_runtime.bundle.runtime_manifest import Precision
    from edge_runtime.bundle.spec import ModelSpec
    from edge_runtime.decision.verdict import Decision, Reason, Verdict
    from edge_runtime.errors import BackendError, BundleError, EdgeError, ImageError, MachineError, UsageError
    from edge_runtime.explain.explanation import Explanation
    from edge_runtime.explain.overlay import heatmap_png
    from edge_runtime.images.colour import ColourOrder
    from edge_runtime.images.region import Marked, Region
    from edge_runtime.inference.backends.base import Provider, Runtime
    from edge_runtime.inference.config import PredictorConfig
    from edge_runtime.inference.prediction import Failure, Prediction, Timing
    from edge_runtime.predictor import Predictor
    from edge_runtime.slides.slide import open_slide
    from edge_runtime.tiling.slide import SlidePrediction

__all__ = [
    "DEFAULT_MODEL",
    "BackendError",
    "BundleError",
    "ColourOrder",
    "Decision",
    "EdgeError",
    "Explanation",
    "Failure",
    "ImageError",
    "MachineError",
    "Marked",
    "ModelSpec",
    "Precision",
    "Prediction",
    "Predictor",
    "PredictorConfig",
    "Provider",
    "Reason",
    "Region",
    "Runtime",
    "SlidePrediction",
    "Timing",
    "UsageError",
    "Verdict",
    "__version__",
    "heatmap_png",
    "open_slide",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
