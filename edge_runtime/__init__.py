"""Breast-imaging classifiers on devices: one picture in, one reasoned decision out, without TensorFlow.

    from edge_runtime import Predictor

    with Predictor.load("idc-patch-compact") as predictor:
        prediction = predictor.predict("patch.png")
        print(prediction.verdict.decision, prediction.verdict.score)

Decision support for trained people; not a medical device.
"""

from edge_runtime.backends import Provider, Runtime
from edge_runtime.bundle.default_model import DEFAULT_MODEL
from edge_runtime.bundle.runnable import Precision
from edge_runtime.decision import Decision, Reason, Verdict
from edge_runtime.errors import BackendError, BundleError, EdgeError, ImageError, UsageError
from edge_runtime.prediction import Failure, Prediction, Timing
from edge_runtime.predictor import Predictor
from edge_runtime.region import Marked, Region
from edge_runtime.spec import ModelSpec
from edge_runtime.steps import ColourOrder

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MODEL",
    "BackendError",
    "BundleError",
    "ColourOrder",
    "Decision",
    "EdgeError",
    "Failure",
    "ImageError",
    "Marked",
    "ModelSpec",
    "Precision",
    "Prediction",
    "Predictor",
    "Provider",
    "Reason",
    "Region",
    "Runtime",
    "Timing",
    "UsageError",
    "Verdict",
    "__version__",
]
