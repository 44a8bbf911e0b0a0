"""What every preprocessing step makes of fixed noise, for comparison between processors.

    python steps_probe.py OUT.npz

Needs the wheel and its packages alone. The noise comes from NumPy's PCG64, which is the same on every processor.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import read
from edge_runtime.preprocessing.preprocessor import preprocess
from edge_runtime.preprocessing.steps import (
    LAPLACIAN_SHARPEN_3X3,
    Border,
    CentreCrop,
    Colour,
    Interpolation,
    Letterbox,
    MinMax,
    Normalize,
    Pad,
    PixelType,
    Resize,
    ResizeShorter,
    Scale,
    Sharpen,
    Step,
    Target,
    Window,
)

WIDTH_PX, HEIGHT_PX = 128, 96
IMAGES_PX = {"shrunk": (301, 233), "enlarged": (41, 37)}
UINT8, FLOAT32 = PixelType.UINT8, PixelType.FLOAT32


def resize(interpolation: Interpolation, result: PixelType) -> Resize:
    return Resize(WIDTH_PX, HEIGHT_PX, interpolation, result)


def sharpen(result: PixelType) -> Sharpen:
    return Sharpen(LAPLACIAN_SHARPEN_3X3, result, Border.REFLECT_101)


NEAREST = resize(Interpolation.NEAREST, UINT8)
SHORTER = ResizeShorter(WIDTH_PX, Interpolation.BICUBIC_ANTIALIAS, UINT8)
CASES: dict[str, tuple[Step, ...]] = {
    "colour to grey": (Colour(ColourOrder.GREY), NEAREST),
    "window": (Window(1000, 50000), Colour(ColourOrder.GREY), NEAREST),
    "nearest uint8": (Colour(ColourOrder.RGB), NEAREST),
    "linear_exact uint8": (Colour(ColourOrder.RGB), resize(Interpolation.LINEAR_EXACT, UINT8)),
    "letterbox": (Colour(ColourOrder.RGB), Letterbox(WIDTH_PX, HEIGHT_PX)),
    "linear uint8": (Colour(ColourOrder.RGB), resize(Interpolation.LINEAR, UINT8)),
    "linear float32": (Colour(ColourOrder.RGB), resize(Interpolation.LINEAR, FLOAT32)),
    "area uint8": (Colour(ColourOrder.RGB), resize(Interpolation.AREA, UINT8)),
    "area float32": (Colour(ColourOrder.RGB), resize(Interpolation.AREA, FLOAT32)),
    "bicubic uint8": (Colour(ColourOrder.RGB), resize(Interpolation.BICUBIC, UINT8)),
    "bicubic float32": (Colour(ColourOrder.RGB), resize(Interpolation.BICUBIC, FLOAT32)),
    "linear_antialias": (Colour(ColourOrder.RGB), resize(Interpolation.LINEAR_ANTIALIAS, UINT8)),
    "bicubic_antialias": (Colour(ColourOrder.RGB), resize(Interpolation.BICUBIC_ANTIALIAS, UINT8)),
    "resize_shorter + centre_crop": (Colour(ColourOrder.RGB), SHORTER, CentreCrop(WIDTH_PX, HEIGHT_PX, Target.PIXELS)),
    "pad + bicubic": (
        *(Colour(ColourOrder.RGB), Pad(1, 1, Target.ASPECT_RATIO, 114.0)),
        resize(Interpolation.BICUBIC, FLOAT32),
    ),
    "sharpen uint8": (Colour(ColourOrder.RGB), NEAREST, sharpen(UINT8)),
    "sharpen float32": (Colour(ColourOrder.RGB), NEAREST, sharpen(FLOAT32)),
    "linear uint8 + sharpen uint8": (Colour(ColourOrder.RGB), resize(Interpolation.LINEAR, UINT8), sharpen(UINT8)),
    "min_max": (Colour(ColourOrder.RGB), NEAREST, MinMax(-1.0, 1.0)),
    "normalize": (Colour(ColourOrder.BGR), NEAREST, Normalize((103.939, 116.779, 123.68), (58.395, 57.12, 57.375))),
    "scale": (Colour(ColourOrder.RGB), NEAREST, Scale(127.5, -1.0)),
}


def main() -> None:
    """Write one float32 array a case and image."""
    made = {
        f"{case}, {size}": preprocess(read(noise(width, height, deep=case == "window"), name=size), steps)
        for case, steps in CASES.items()
        for size, (width, height) in IMAGES_PX.items()
    }
    np.savez(Path(sys.argv[1]), **made)  # type: ignore[arg-type]  # the stubs take the keys for options


def noise(width_px: int, height_px: int, *, deep: bool) -> bytes:
    """Return a PNG of uniform noise: grey of 16 bits if ``deep``, otherwise RGB of 8."""
    rng = np.random.Generator(np.random.PCG64(20))
    if deep:
        pixels = rng.integers(0, 65536, (height_px, width_px), dtype=np.uint16)
    else:
        pixels = rng.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1])


if __name__ == "__main__":
    main()
