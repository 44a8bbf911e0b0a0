"""Alterations: changes of an own image after which a model must no longer answer it, such as another scale.

The out-of-distribution check is fitted to notice them (:mod:`training.evaluation.discriminants`). Each takes and
returns the square or patch that a model sees: uint8, grey H×W or colour H×W×3 in BGR, of the same shape; only
:func:`reduced` takes a mosaic of them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from training.data.drawn_images import DRAWN, Pixels

T = TypeVar("T")
MOSAIC = 4
"""Rows and columns of a mosaic: the field that an image reduced as many times shows."""

Alter = Callable[[np.random.Generator, Pixels], Pixels]


class Alteration(enum.Enum):
    """The value is its name in a spec."""

    ENLARGED = "enlarged"
    REDUCED = "reduced"
    GREY = "grey"
    EXCHANGED = "exchanged"
    NEGATIVE = "negative"
    BRIGHT = "bright"
    DARK = "dark"
    NOISE = "noise"
    COMPRESSED = "compressed"
    DRAWN = "drawn"


def enlarged(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return a part of the image, enlarged 1.5 to 4 times to the whole size."""
    height, width = pixels.shape[:2]
    factor = float(np.exp(rng.uniform(np.log(1.5), np.log(4.0))))
    part = _part(rng, pixels, max(2, round(height / factor)), max(2, round(width / factor)))
    return np.asarray(cv2.resize(part, (width, height), interpolation=_any_of(rng, _ENLARGING)), np.uint8)


def reduced(rng: np.random.Generator, mosaic: Pixels) -> Pixels:
    """Return a part of a mosaic, reduced 1.7 to 4 times to the size of one of its images.

    Args:
        mosaic: :data:`MOSAIC`² images of one size, from :func:`mosaic_of`.
    """
    height, width = mosaic.shape[0] // MOSAIC, mosaic.shape[1] // MOSAIC
    factor = float(np.exp(rng.uniform(np.log(1.7), np.log(MOSAIC))))
    part = _part(rng, mosaic, round(height * factor), round(width * factor))
    return np.asarray(cv2.resize(part, (width, height), interpolation=_any_of(rng, _REDUCING)), np.uint8)


def mosaic_of(images: Sequence[Pixels]) -> Pixels:
    """Return :data:`MOSAIC`² images as one, in rows; each gets the size of the first. Fewer images are repeated."""
    height, width = images[0].shape[:2]
    some = list(islice(cycle(images), MOSAIC**2))
    sized = [cv2.resize(each, (width, height)) if each.shape[:2] != (height, width) else each for each in some]
    return np.vstack([np.hstack(sized[row : row + MOSAIC]) for row in range(0, MOSAIC**2, MOSAIC)])


def grey(_: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the image without colour."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)


def exchanged(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the image with its channels in another order; in half of the cases, red and blue are exchanged."""
    order = [2, 1, 0] if rng.random() < 0.5 else list(_any_of(rng, _ORDERS))
    return np.ascontiguousarray(pixels[..., order])


def negative(_: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the negative of the image."""
    return np.subtract(255, pixels, dtype=np.uint8)


def bright(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the image brighter by 40 to 80 levels."""
    return _clipped(pixels + rng.uniform(40, 80))


def dark(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the image darker by 40 to 80 levels."""
    return _clipped(pixels - rng.uniform(40, 80))


def noise(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the image with Gaussian noise of a standard deviation of 8 to 40 levels."""
    return _clipped(pixels + rng.normal(0.0, rng.uniform(8, 40), pixels.shape))


def compressed(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the image as a JPEG file of quality 5 to 20 shows it."""
    return jpeg(pixels, int(rng.integers(5, 21)))


def drawn(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return noise, a blank frame or part of a screenshot in place of the image."""
    found = _any_of(rng, tuple(DRAWN.values()))(rng, pixels.shape)
    height, width = pixels.shape[:2]
    part = _part(rng, found, height, width)
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def accepted(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Return the image as a JPEG file of quality 70 to 95 shows it: a change that a model must still answer."""
    return jpeg(pixels, int(rng.integers(70, 96)))


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Return the image as a JPEG file of this quality (1..100) shows it."""
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


ALTER: dict[Alteration, Alter] = {
    Alteration.ENLARGED: enlarged,
    Alteration.REDUCED: reduced,
    Alteration.GREY: grey,
    Alteration.EXCHANGED: exchanged,
    Alteration.NEGATIVE: negative,
    Alteration.BRIGHT: bright,
    Alteration.DARK: dark,
    Alteration.NOISE: noise,
    Alteration.COMPRESSED: compressed,
    Alteration.DRAWN: drawn,
}

_ENLARGING = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_AREA)
_REDUCING = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
_ORDERS = ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1))


def _part(rng: np.random.Generator, pixels: Pixels, height: int, width: int) -> Pixels:
    """Return a part of at most this size, at random."""
    y, x = (
        int(rng.integers(max(1, have - want + 1))) for have, want in zip(pixels.shape[:2], (height, width), strict=True)
    )
    return pixels[y : y + height, x : x + width]


def _any_of(rng: np.random.Generator, choices: tuple[T, ...]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _clipped(levels: npt.NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)
