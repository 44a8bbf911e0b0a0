"""Image to tensor: the only place in the project where a pixel that a model sees is changed.

Training, int8 calibration and parity checks call :func:`preprocess`; the device keeps a :class:`Preprocessor`, which is
what :func:`preprocess` runs. Each step is a pure function of an array; what does not depend on the array is worked out
once, when the function is made from its frozen step.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageUnsupportedError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.kernels import Array, apply, ready, recolour
from edge_runtime.preprocessing.steps import MinMax, Normalize, PixelType, Scale, Step, Window

__all__ = ["Preprocessed", "Preprocessor", "apply", "look_up", "preprocess"]

Preprocessed = npt.NDArray[np.uint8 | np.float32]


class Preprocessor:
    """A spec's steps, made ready once for many images; may be shared by threads.

    Attributes:
        values: float32 256, what the last steps make of each uint8 level, where those steps see one value at a time
            (scales); 256×C where they differ by channel; None where they see more than one.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        """Make ``steps`` ready."""
        self._takes_deep = bool(steps) and isinstance(steps[0], Window)
        whole = _without_scales(steps)
        by_value = all(getattr(step, "result", None) is not PixelType.FLOAT32 for step in whole) and not any(
            isinstance(step, MinMax | Scale | Normalize) for step in whole
        )
        self._operations = tuple(ready(step) for step in (whole if by_value else steps))
        self.values: npt.NDArray[np.float32] | None = _of_levels(steps[len(whole) :]) if by_value else None

    def levels(self, image: DecodedImage) -> Preprocessed:
        """Apply the steps, as far as they need more than one value at a time.

        Returns:
            C-contiguous, H×W×1 or H×W×3: uint8 levels, each of which stands for ``values[level]``; or the float32
            tensor itself if ``values`` is None. It may share memory with the image.

        Raises:
            ImageUnsupportedError: as :func:`preprocess`.
        """
        if image.pixels.dtype != np.uint8 and not self._takes_deep:
            raise _too_deep(image)
        order = image.order
        pixels: Array = image.pixels
        for operation in self._operations:
            if isinstance(operation, ColourOrder):
                order, pixels = operation, recolour(pixels, order, operation)
            else:
                pixels = operation(pixels, image.name)
        found: Preprocessed = np.ascontiguousarray(pixels, dtype=np.uint8 if self.values is not None else np.float32)
        return found[..., np.newaxis] if found.ndim == 2 else found

    def tensor(self, image: DecodedImage) -> npt.NDArray[np.float32]:
        """Apply all steps; see :func:`preprocess`."""
        found = self.levels(image)
        return np.asarray(found, dtype=np.float32) if self.values is None else look_up(found, self.values)


def preprocess(image: DecodedImage, steps: tuple[Step, ...]) -> npt.NDArray[np.float32]:
    """Apply ``steps`` in order.

    Args:
        image: uint8 pixels (or uint16 if the first step is a window), grey H×W or colour H×W×3.
        steps: a spec's steps.

    Returns:
        float32 tensor, C-contiguous, H×W×1 or H×W×3, in the range that the last step leaves.

    Raises:
        ImageUnsupportedError: the image has more than 8 bits and no window step takes them, or a
            min-max step meets an image of one single value.
    """
    return Preprocessor(steps).tensor(image)


def look_up(levels: Preprocessed, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``values[levels]`` in the dtype of ``values``; levels are uint8 of any shape.

    Args:
        values: 256 for all channels, or 256×C: a column for each channel of the levels, which lie on their last axis.
    """
    if values.ndim == 2:
        rows = levels.reshape(1, -1, values.shape[1])
        return np.asarray(cv2.LUT(rows, values[np.newaxis])).reshape(levels.shape)
    return np.asarray(cv2.LUT(levels.reshape(1, -1), values)).reshape(levels.shape)


def _without_scales(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Leave out the scales at the end, by channel or not."""
    count = len(steps)
    while count and isinstance(steps[count - 1], Scale | Normalize):
        count -= 1
    return steps[:count]


def _of_levels(scales: tuple[Step, ...]) -> npt.NDArray[np.float32]:
    """Return what ``scales`` make of 0..255, by the very operations that a whole image would go through."""
    channels = max((len(step.mean) for step in scales if isinstance(step, Normalize)), default=1)
    values: Array = np.arange(256, dtype=np.uint8)
    if channels > 1:
        values = np.repeat(values[:, np.newaxis], channels, axis=1)
    for step in scales:
        values = apply(step, values, "levels")
    return np.ascontiguousarray(values, dtype=np.float32)


def _too_deep(image: DecodedImage) -> ImageUnsupportedError:
    return ImageUnsupportedError(
        f"{image.name}: found {image.pixels.dtype} pixels, expected 8 bits a channel. "
        "This model has no window step for deeper images: export the image as 8 bits with the "
        "window that its readers use, or use a model whose spec has one.",
        code="image_depth",
    )
