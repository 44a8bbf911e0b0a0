"""Preprocessing from image to tensor. No other module of the project changes the pixels of a model's input.

Training, int8 calibration and parity checks call :func:`preprocess`. The device keeps a :class:`Preprocessor`, which
:func:`preprocess` also uses. Each step is a pure function of an array. Everything that does not depend on the array is
computed once, when the step is prepared.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ImageUnsupportedError
from edge_runtime.images.reader import DecodedImage
from edge_runtime.preprocessing.kernels import Array, apply, operations
from edge_runtime.preprocessing.steps import Normalize, Step, Window, count_to_levels

__all__ = ["Preprocessed", "Preprocessor", "apply", "look_up", "preprocess"]

Preprocessed = npt.NDArray[np.uint8 | np.float32]


class Preprocessor:
    """A spec's steps, prepared once for many images. Thread-safe.

    If the last steps are scale or normalize steps on uint8 levels, they are replaced by a look-up table.

    Attributes:
        values: the look-up table, float32: shape (256,), or (256, C) if the channels differ. None if the steps cannot
            be replaced by a table.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        """Prepare ``steps``."""
        self._takes_deep = bool(steps) and isinstance(steps[0], Window)
        count = count_to_levels(steps)
        self._operations = operations(steps[:count])
        self.values: npt.NDArray[np.float32] | None = None if count is None else _of_levels(steps[count:])

    def levels(self, image: DecodedImage) -> Preprocessed:
        """Apply the steps that the look-up table ``values`` does not replace.

        Returns:
            C-contiguous array, H×W×1 or H×W×3: uint8 levels to look up in ``values``, or the finished float32 tensor
            if ``values`` is None. It may share memory with the image.

        Raises:
            ImageUnsupportedError: as :func:`preprocess`.
        """
        if image.pixels.dtype != np.uint8 and not self._takes_deep:
            raise _too_deep(image)
        pixels: Array = image.pixels
        for operation in self._operations[image.order]:
            pixels = operation(pixels, image.name)
        result: Preprocessed = np.ascontiguousarray(pixels, dtype=np.uint8 if self.values is not None else np.float32)
        return result[..., np.newaxis] if result.ndim == 2 else result

    def tensor(self, image: DecodedImage) -> npt.NDArray[np.float32]:
        """Apply all steps and return the float32 tensor; see :func:`preprocess`."""
        levels = self.levels(image)
        return np.asarray(levels, dtype=np.float32) if self.values is None else look_up(levels, self.values)


def preprocess(image: DecodedImage, steps: tuple[Step, ...]) -> npt.NDArray[np.float32]:
    """Apply ``steps`` in order and return the input tensor of a model.

    Args:
        image: uint8 pixels (or uint16 if the first step is a window), grey H×W or colour H×W×3.
        steps: a spec's steps.

    Returns:
        float32 tensor, C-contiguous, H×W×1 or H×W×3. The last step determines its range.

    Raises:
        ImageUnsupportedError: the image has more than 8 bits and the first step is not a window, or a min-max step
            receives an image in which all values are equal.
    """
    return Preprocessor(steps).tensor(image)


def look_up(levels: Preprocessed, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``values[levels]`` in the dtype of ``values``.

    Args:
        levels: uint8, any shape; channels on the last axis.
        values: shape (256,) for all channels, or (256, C) with one column for each channel.
    """
    if values.ndim == 2:
        return cv2.LUT(levels.reshape(1, -1, values.shape[1]), values[np.newaxis]).reshape(levels.shape)
    return cv2.LUT(levels.reshape(1, -1), values).reshape(levels.shape)


def _of_levels(scales: tuple[Step, ...]) -> npt.NDArray[np.float32]:
    """Apply ``scales`` to the levels 0..255, with the operations used for images; float32 (256,) or (256, C)."""
    channels = max((len(step.mean) for step in scales if isinstance(step, Normalize)), default=1)
    values: Array = np.arange(256, dtype=np.uint8)
    if channels > 1:
        values = np.repeat(values[:, np.newaxis], channels, axis=1)
    for step in scales:
        values = apply(step, values, "levels")
    return np.ascontiguousarray(values, dtype=np.float32)


def _too_deep(image: DecodedImage) -> ImageUnsupportedError:
    return ImageUnsupportedError(
        f"{image.name}: found {image.pixels.dtype} pixels, expected 8 bits a channel, as this model has no window "
        "step. Export the image as 8 bits with the window that its readers use, or use a model with a window step.",
        code="image_depth",
    )
