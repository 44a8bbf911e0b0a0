"""Answers and failures as lines hold them."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.decision.verdict import Decision, Reason, Verdict
from edge_runtime.errors import EdgeError, ImageNotFoundError
from edge_runtime.inference.prediction import Failure, Prediction, Timing
from edge_runtime.results.lines import FileStamp, Origin

STAMP = FileStamp(2310, 1_767_225_600_123_456_789)
ORIGIN = Origin("some-model", "1.0.0", "c" * 64, 0.5, 0.75, "b" * 64)
VERDICT = Verdict("benign", {"benign": 0.9, "malignant": 0.1}, 0.1, 0.9, Decision.NEGATIVE, Reason.BELOW_CUTOFF)


def answer(image: str, origin: Origin = ORIGIN) -> Prediction:
    return Prediction(
        image,
        origin.model,
        origin.version,
        VERDICT,
        origin.cutoff,
        origin.confidence_floor,
        origin.contract,
        "litert",
        "int8",
        Timing(1, 2, 3),
        bundle=origin.bundle,
        sha256="5" * 64,
    )


def failure(image: str) -> Failure:
    error = ImageNotFoundError(f"{image}: found no file there, expected an image. Check the path.")
    return Failure(image, error, bundle=ORIGIN.bundle)


def refusal(error: EdgeError, place: Path) -> str:
    """Return the error's code; its text names the file first, and says what was found."""
    assert error.message.startswith(f"{place}: ") and len(error.message) > len(f"{place}: ") + 20, error.message
    return error.code
