"""Files in all syntaxes, and a predictor of a shipped model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import Predictor
from tests.dicom_objects import BASELINE, LOSSLESS, MAMMOGRAM, can_write, file_of, image, meant, ultrasound


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small sound files: grey, colour and 12 bits in every syntax."""
    folder, shown = tmp_path_factory.mktemp("seeds"), meant(32, 40)
    for syntax in (each for each in (*LOSSLESS, BASELINE) if can_write(each)):
        (folder / f"grey-{syntax}").write_bytes(file_of(ultrasound(shown), syntax))
        (folder / f"colour-{syntax}").write_bytes(file_of(ultrasound(np.stack([shown] * 3, -1)), syntax))
        deep = image(shown.astype(np.uint16) * 16, MAMMOGRAM, BitsStored=12, WindowCenter=2040, WindowWidth=4081)
        if syntax != BASELINE:
            (folder / f"deep-{syntax}").write_bytes(file_of(deep, syntax))
    return folder


@pytest.fixture(scope="session")
def breast_us() -> Iterator[Predictor]:
    """The shipped model of whole ultrasound images, with the objects that its recipe accepts."""
    with Predictor.load("breast-us") as predictor:
        yield predictor
