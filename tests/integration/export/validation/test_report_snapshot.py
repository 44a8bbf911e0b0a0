"""The proof page of a bundle reads as its snapshot: every heading, sentence, cell and image."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.manifest import Attempt, Coverage, FileEntry, Labelled, Manifest, Parity, Role
from export.validation import report
from export.validation.report import parity_page
from tests.page_text import is_as_before
from tests.system_4 import BUNDLE

SNAPSHOTS = Path(__file__).parent / "snapshots"
PNG = cv2.imencode(".png", np.zeros((4, 6, 3), np.uint8))[1].tobytes()


def _manifest() -> Manifest:
    coverage = (Coverage(0.8, 0.7, 0.91, 0.9, 0.9), Coverage(0.95, 0.0, None, None, None))
    return replace(
        find(BUNDLE).manifest,
        files=(FileEntry("model.int8.tflite", Role.MODEL, "ab" * 32, 1234567),),
        parity_source="400 images of 30 patients",
        parity=(Parity("model.int8.tflite", "litert", 400, 0.51234, 0.1, 0.0612345, 0.01, 3, 1, 20),),
        guard_band=0.0123,
        guard_band_exceptions=0.0075,
        labelled=(
            Labelled("keras", 400, 30, 0.9, 0.03, coverage),
            Labelled("model.int8.tflite", 400, 30, 0.8987, 0.035, coverage),
            Labelled("one <class>", 400, 30, None, 0.02, coverage),
        ),
        attempts=(
            Attempt("model.int8.tflite", "all layers", failure="no <kernel>"),
            Attempt("model.int8.tflite", "per channel", "", 900, 0, 0.0, 0, False, "as large as float32"),
            Attempt("model.int8.tflite", "fewer layers", "", 1234567, 400, 0.0123, 3, False),
            Attempt("model.int8.tflite", "first layer in float32", "", 1234567, 400, 0.0103, 3, True),
        ),
        toolchain={"edge-predict": "0.1.0", "python": "3.11.7"},
    )


def _bare() -> Manifest:
    """As little as a manifest can say."""
    return replace(_manifest(), training=None, guard_band=0.0, labelled=(), attempts=())


def _unbounded() -> Manifest:
    """No bound on the decisions beyond the guard band, and data for research alone."""
    made = _manifest()
    assert made.training is not None
    return replace(made, guard_band_exceptions=None, training=replace(made.training, research_only=True))


@pytest.mark.parametrize("make", [_manifest, _bare, _unbounded], ids=["proof", "proof-bare", "proof-unbounded"])
def test_the_proof_page_of_a_bundle(
    make: Callable[[], Manifest], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "coverage_image", lambda _: PNG)
    assert is_as_before(parity_page(make()), SNAPSHOTS / f"{request.node.callspec.id}.txt")
