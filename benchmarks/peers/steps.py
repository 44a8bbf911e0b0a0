"""The preprocessing of the networks that ship, written by hand as an application without this package would.

``tests/integration/benchmarks`` compares them with the package's own steps, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # benchmarks/minimal_script.py pays for every import
    from benchmarks.task import Item

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SCALE, OFFSET = np.float32(127.5), np.float32(1)
_LINEAR = cv2.INTER_LINEAR_EXACT


def prepared(levels: Pixels) -> Floats:
    """Return 8-bit levels H×W or H×W×3 as the network's input, float32 1×H×W×C in -1…1."""
    tensor = levels.astype(np.float32) / SCALE - OFFSET
    return tensor[np.newaxis] if levels.ndim == 3 else tensor[np.newaxis, ..., np.newaxis]


def tissue(pixels: Pixels) -> Pixels:
    """Return an RGB patch of 50×50 px, uint8."""
    return _resized(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), 50)


def ultrasound(pixels: Pixels) -> Pixels:
    """Return a grey image scaled into a black square of 768 px, halved twice, uint8 192×192."""
    image = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    scale = 768 / max(image.shape)
    height, width = (max(1, round(side * scale)) for side in image.shape)
    top, left = (768 - height) // 2, (768 - width) // 2
    frame = np.zeros((768, 768), np.uint8)
    frame[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=_LINEAR)
    return _resized(frame, 384, 192)


def lesion(pixels: Pixels) -> Pixels:
    """Return a grey image of 160×160 px, by way of 320×320, uint8."""
    return _resized(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), 320, 160)


def mammogram_region(pixels: Pixels) -> Pixels:
    """Return a grey image of 128×128 px, by way of 256×256, uint8."""
    return _resized(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), 256, 128)


def _resized(image: Any, *sides: int) -> Pixels:
    for side in sides:
        image = cv2.resize(image, (side, side), interpolation=_LINEAR)
    levels: Pixels = image
    return levels


LEVELS: dict[str, Callable[[Pixels], Pixels]] = {
    "idc-patch-compact": tissue,
    "breast-us": ultrasound,
    "breast-us-lesion": lesion,
    "mias-region": mammogram_region,
}
"""Name of a bundle → its steps before scaling, uint8 H×W×3 BGR → uint8."""

CROPS = {"breast-us-lesion": (1.6, 24.0), "mias-region": (1.5, 32.0)}
"""Name of a bundle that classifies marked regions → half the crop's side as a multiple of the radius, and the least."""


def positive(logits: Floats) -> int:
    """Return the index of the likeliest label; of one logit, 1 if it is above zero."""
    return int(logits.argmax()) if logits.size > 1 else int(logits.ravel()[0] > 0)


def levels_of(network: str) -> Callable[[Item], Pixels]:
    """Return the steps before scaling as a function of an item."""
    levels, crop = LEVELS[network], CROPS.get(network)
    if crop is None:
        return lambda item: levels(decoded(item))
    return lambda item: levels(cropped(decoded(item), item.region, *crop))


def decoded(item: Item) -> Pixels:
    """Return the pixels of an array or of a file, uint8 H×W×3 BGR."""
    return cv2.imread(item.image) if isinstance(item.image, str) else item.image  # type: ignore[return-value]


def cropped(pixels: Any, region: Sequence[float] | None, margin: float, least_half_px: float) -> Pixels:
    """Return the square around a marked circle (x, y, radius in pixels), black outside the image."""
    assert region is not None
    half = max(margin * region[2], least_half_px)
    x, y, side = round(region[0] - half), round(region[1] - half), round(2 * half)
    height, width = pixels.shape[:2]
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    square = np.zeros((side, side, 3), np.uint8)
    square[top - y : bottom - y, left - x : right - x] = pixels[top:bottom, left:right]
    return square
