"""Marks that were drawn are found, echoes are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from training.data.datasets import Sample, burnt_in, busi
from training.data.photometric import Callipers

Grey = npt.NDArray[np.uint8]


def _echoes(seed: int) -> Grey:
    """Speckle as coarse as a beam, with bright layers and a black cyst."""
    rng = np.random.default_rng(seed)
    image = 90.0 + 160.0 * cv2.GaussianBlur(rng.normal(0, 1, (400, 520)), (0, 0), 1.5)
    image[60:66] += 120.0
    cv2.circle(image, (300, 200), 60, 4.0, -1)
    return cv2.GaussianBlur(np.clip(image, 0, 255), (0, 0), 1.2).astype(np.uint8)


def test_echoes_are_no_marks_however_bright() -> None:
    assert max(burnt_in.marks_px(_echoes(seed)) for seed in range(20)) < burnt_in.LEAST_PX


def test_callipers_and_captions_are_marks() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drawn = Callipers(1.0).apply(_echoes(seed)[..., np.newaxis].astype(np.float32) / 255.0, rng)
        assert burnt_in.marks_px((255 * drawn[..., 0]).astype(np.uint8)) >= burnt_in.LEAST_PX
        written = _echoes(seed)
        cv2.putText(written, "LT 5", (400, 350), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 235, 1)
        assert burnt_in.marks_px(written) >= burnt_in.LEAST_PX


def test_the_maker_s_sign_in_the_corner_is_none() -> None:
    signed = _echoes(1)
    cv2.putText(signed, "Q", (0, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
    assert burnt_in.marks_px(signed) < burnt_in.LEAST_PX
    cv2.putText(signed, "Q", (200, 212), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
    assert burnt_in.marks_px(signed) >= burnt_in.LEAST_PX


def test_a_file_that_cannot_be_read_has_no_trait(tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    path.write_bytes(b"nothing")
    assert burnt_in.trait(Sample("no.png", path, 0, "no.png")) is None


@pytest.mark.shared
def test_hardly_a_published_normal_image_has_marks(published: Callable[[str], Path]) -> None:
    samples = busi.read(published("busi")).samples
    count = Counter((busi.LABELS[s.label], (burnt_in.trait(s) or ("", ""))[1] == burnt_in.WITH) for s in samples)
    shares = {label: count[label, True] / (count[label, True] + count[label, False]) for label in busi.LABELS}
    assert shares["normal"] < 0.1
    assert min(shares["benign"], shares["malignant"]) > 0.3
