"""Generated out-of-distribution images: noise, blank frames, inverted images and screenshots.

They represent images that reach a device by mistake: from a sensor without signal or a closed shutter, an image saved
with inverted grey levels, or a screenshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage

Pixels = npt.NDArray[np.uint8]
Shape = tuple[int, ...]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LETTERS = "abcdefghijklmnopqrstuvwxyz   ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-"


def image(pixels: Pixels, name: str) -> DecodedImage:
    """Return pixels (grey H×W, or colour H×W×3 in BGR) as a decoded image of the runtime."""
    return DecodedImage(name, pixels, ColourOrder.GREY if pixels.ndim == 2 else ColourOrder.BGR)


def inverted(own: DecodedImage) -> DecodedImage:
    """Return the negative of an image."""
    most = int(np.iinfo(own.pixels.dtype).max)
    return DecodedImage(f"{own.name}, inverted", np.subtract(most, own.pixels, dtype=own.pixels.dtype), own.order)


def uniform_noise(rng: np.random.Generator, shape: Shape) -> Pixels:
    """Return noise with all levels 0..255 equally likely, independent in each pixel and channel."""
    return rng.integers(0, 256, shape).astype(np.uint8)


def gaussian_noise(rng: np.random.Generator, shape: Shape) -> Pixels:
    """Return Gaussian noise with a mean of 30..225 and a standard deviation of 5..70 levels, clipped to 0..255."""
    mean, deviation = rng.uniform(30, 225), rng.uniform(5, 70)
    return np.clip(rng.normal(mean, deviation, shape), 0, 255).astype(np.uint8)


def blank(rng: np.random.Generator, shape: Shape) -> Pixels:
    """Return an image of one grey level: black, white, or a level between."""
    level = rng.choice([0, 255, int(rng.integers(1, 255))])
    return np.full(shape, level, np.uint8)


def screenshot(rng: np.random.Generator, shape: Shape) -> Pixels:
    """Return a screenshot, or part of one: windows, title bars, text and a toolbar, light or dark.

    The screen is 160..1280 px wide and independent of ``shape``, as on a device. One in four is cut to ``shape``. It
    is grey if ``shape`` has two axes.
    """
    width = int(rng.integers(160, 1281))
    height = int(width * rng.uniform(0.5, 1.2))
    dark = bool(rng.random() < 0.4)
    screen = np.full((height, width, 3), _theme(rng, dark), np.uint8)
    if rng.random() < 0.3:
        ramp = np.linspace(-40, 40, height)[:, np.newaxis, np.newaxis]
        screen = np.clip(screen + ramp, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        _window(rng, screen, dark)
    for i in range(int(rng.integers(0, 20))):
        cv2.rectangle(screen, (4 + 26 * i, 4), (24 + 26 * i, 24), _any_colour(rng), -1)
    return _as_shown(rng, screen, shape)


def _as_shown(rng: np.random.Generator, screen: Pixels, shape: Shape) -> Pixels:
    shown = screen if len(shape) == 3 else np.asarray(cv2.cvtColor(screen, cv2.COLOR_BGR2GRAY), np.uint8)
    if rng.random() < 0.75:
        return shown
    y, x = (int(rng.integers(0, max(1, have - want + 1))) for have, want in zip(shown.shape, shape[:2], strict=False))
    return np.ascontiguousarray(shown[y : y + shape[0], x : x + shape[1]])


def _window(rng: np.random.Generator, screen: Pixels, dark: bool) -> None:
    height, width = screen.shape[:2]
    x, y = int(rng.integers(0, int(width * 0.8))), int(rng.integers(0, int(height * 0.8)))
    right, lower = x + int(rng.integers(width // 6, width)), y + int(rng.integers(height // 6, height))
    cv2.rectangle(screen, (x, y), (right, lower), _theme(rng, dark), -1)
    cv2.rectangle(screen, (x, y), (right, lower), _any_colour(rng), 1)
    cv2.rectangle(screen, (x, y), (right, y + max(8, height // 30)), _any_colour(rng), -1)
    ink = (230,) * 3 if dark else (int(rng.integers(0, 80)),) * 3
    spacing, size = int(rng.integers(10, 18)), float(rng.uniform(0.25, 0.6))
    for line in range(y + max(20, height // 20), min(lower, height), spacing):
        text = "".join(rng.choice(list(_LETTERS), int(rng.integers(4, 40))))
        cv2.putText(screen, text, (x + 6, line), _FONT, size, ink, 1, cv2.LINE_AA)


def _theme(rng: np.random.Generator, dark: bool) -> tuple[int, int, int]:
    """Return a background colour, which is grey in half of the cases."""
    low, high = (20, 80) if dark else (190, 256)
    colour = rng.integers(low, high, 3)
    if rng.random() < 0.5:
        colour[:] = colour[0]
    return int(colour[0]), int(colour[1]), int(colour[2])


def _any_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    blue, green, red = (int(value) for value in rng.integers(0, 256, 3))
    return blue, green, red


DRAWN: dict[str, Callable[[np.random.Generator, Shape], Pixels]] = {
    "uniform noise": uniform_noise,
    "Gaussian noise": gaussian_noise,
    "blank frames": blank,
    "screenshots": screenshot,
}


def drawn(kind: str, shapes: list[Shape], count: int, seed: int) -> Iterator[DecodedImage]:
    """Yield ``count`` generated images of a kind of :data:`DRAWN`; ``shapes`` are used in turn."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        yield image(DRAWN[kind](rng, shapes[i % len(shapes)]), f"{kind} {i}")
