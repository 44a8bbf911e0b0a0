"""Each system's tensor, built with its program's own stack, against the device's preprocessing.

On pictures of odd sizes drawn here, and on real ones where the published sets lie beside the checkout. uint8
steps are equal in every value. System 3 departs on purpose (LINEAR_EXACT for LINEAR): at most one level.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edge_runtime.imaging import read
from edge_runtime.preprocessing import prepare
from training.recipes import RECIPES

Floats = npt.NDArray[np.float64]
KERNEL = np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], np.float32)
SHAPES = ((224, 224), (225, 301), (97, 64), (640, 480), (128, 1023))
REAL = 200


def _rgb(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def system_1(path: Path) -> Floats:
    """Pillow nearest, float32 sharpening without clipping, OpenCV's min-max to 0..255, ÷255."""
    image = np.asarray(_rgb(path).resize((224, 224), Image.Resampling.NEAREST), np.float32)
    sharp = cv2.filter2D(image, -1, KERNEL)
    return cv2.normalize(sharp, None, 0, 255, cv2.NORM_MINMAX).astype(np.float64) / 255


def system_2(path: Path) -> Floats:
    """TensorFlow's bilinear resize (half-pixel centres, float32), ÷255."""
    import tensorflow as tf

    return tf.image.resize(np.asarray(_rgb(path)), (224, 224), method="bilinear").numpy().astype(np.float64) / 255


def system_3(path: Path) -> Floats:
    """OpenCV grey, INTER_LINEAR on uint8, no scaling."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(grey, (128, 128), interpolation=cv2.INTER_LINEAR).astype(np.float64)[..., np.newaxis]


def system_5(path: Path) -> Floats:
    """Pillow nearest, ÷255."""
    return np.asarray(_rgb(path).resize((256, 256), Image.Resampling.NEAREST), np.float64) / 255


# recipe → the program's stack, its data set, the largest difference (of the tensor) and why
CASES = {
    "density-malignancy-cnn": (system_1, "mendeley", 1e-6),
    "density-malignancy-simple": (
        system_2,
        "mendeley",
        1e-4,
    ),  # tf.image rounds places to float32: up to .02 of a level
    "mias-abnormality": (system_3, "mias", 1.0),  # LINEAR_EXACT, the same bits on every processor
    "busi-densenet121": (system_5, "busi", 1e-7),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, list[Path]]:
    """PNGs of noise with some structure: grey (True) and colour (False)."""
    rng = np.random.default_rng(8)
    found: dict[bool, list[Path]] = {True: [], False: []}
    folder = tmp_path_factory.mktemp("drawn")
    for grey, paths in found.items():
        for height, width in SHAPES:
            noise = rng.integers(0, 256, (height, width) if grey else (height, width, 3), dtype=np.uint8)
            path = folder / f"{grey}-{height}x{width}.png"
            buffer = io.BytesIO()
            Image.fromarray(noise).save(buffer, "PNG")
            path.write_bytes(buffer.getvalue())
            paths.append(path)
    return found


def _worst(name: str, stack: Callable[[Path], Floats], paths: Iterator[Path] | list[Path]) -> tuple[float, str]:
    spec = RECIPES[name].spec
    found = [(float(np.abs(prepare(read(path), spec.steps) - stack(path)).max()), path.name) for path in paths]
    assert found
    return max(found)


@pytest.mark.parametrize("name", CASES)
def test_tensors_equal_the_programs_on_drawn_pictures(name: str, drawn: dict[bool, list[Path]]) -> None:
    stack, dataset, limit = CASES[name]
    paths = drawn[True] + ([] if dataset == "mias" else drawn[False])
    worst, where = _worst(name, stack, paths)
    print(f"{name}: worst difference {worst:.3g} in {where}")
    assert worst <= limit, f"{name}: {worst:.3g} in {where}, expected at most {limit:g}"


@pytest.mark.shared
@pytest.mark.parametrize("name", CASES)
def test_tensors_equal_the_programs_on_real_pictures(name: str, published: Callable[[str], Path]) -> None:
    stack, dataset, limit = CASES[name]
    source = RECIPES[name].source.load(published(dataset))
    worst, where = _worst(name, stack, [sample.path for sample in source.samples[:REAL]])
    print(f"{name}: worst difference {worst:.3g} in {where}")
    assert worst <= limit, f"{name}: {worst:.3g} in {where}, expected at most {limit:g}"
