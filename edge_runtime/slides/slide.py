"""Open a whole slide at a model's scale, for :meth:`edge_runtime.Predictor.predict_tiles`."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import SlideError, UsageError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.formats.decoding import Pixels as Decoded
from edge_runtime.slides.area_average import UNIT, averaged
from edge_runtime.slides.glass import white_tiles
from edge_runtime.slides.pyramid import Pixels, Pyramid
from edge_runtime.slides.scale import reading_of
from edge_runtime.tiling.lazy_image import LazyImage
from edge_runtime.tiling.slide import SlideReading

OVERVIEW_BLOCK_PX = 64
MISSING = 225
"""Level of grey in an overview where the slide is damaged."""


class LazyPixels:
    """The pixels of one scale of a slide: ``pixels[top:bottom, left:right]`` reads them, uint8 H×W×3 RGB."""

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, pyramid: Pyramid, level: int, factor: int) -> None:
        size = pyramid.levels[level]
        self.shape = size.height_px * UNIT // factor, size.width_px * UNIT // factor, 3
        self._read, self._factor = partial(pyramid.read, level), factor

    def __getitem__(self, place: tuple[slice, slice]) -> Pixels:
        (top, bottom, _), (left, right, _) = (
            each.indices(side) for each, side in zip(place, self.shape[:2], strict=True)
        )
        return averaged(self._read, left, top, right - left, bottom - top, self._factor)


class Slide:
    """An opened slide. Use it as a context manager, or call :meth:`close`.

    Attributes:
        image: the slide at the requested scale, for :meth:`edge_runtime.Predictor.predict_tiles`. Its pixels are read
            when a tile is cut out.
        reading: the level that is read, and the scale.
    """

    def __init__(self, pyramid: Pyramid, reading: SlideReading, *, white: bool) -> None:
        """Most programs call :func:`open_slide` instead."""
        self._pyramid, self.reading = pyramid, reading
        pixels = LazyPixels(pyramid, reading.level, reading.factor_256)
        if 0 in pixels.shape:
            raise SlideError(
                f"{pyramid.name}: found less than one pixel at {reading.microns_per_pixel:g} microns per pixel. "
                "Correct --mpp.",
                code="slide_too_fine",
            )
        self.image = LazyImage(
            pyramid.name,
            cast(Decoded, pixels),
            ColourOrder.RGB,
            reading=reading,
            overview=partial(overview, pyramid, reading),
            glass=None if white else partial(white_tiles, pyramid, reading),
        )

    def close(self) -> None:
        """Release the file."""
        self._pyramid.close()

    def __enter__(self) -> Slide:
        """Return the slide itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the file."""
        self.close()


def open_slide(
    path: str | os.PathLike[str],
    read_at: float | None,
    *,
    microns_per_pixel: float | None = None,
    white: bool = False,
) -> Slide:
    """Open a slide (SVS, NDPI, MRXS, DICOM, OME-TIFF, tiled TIFF) to be read at one scale.

    Args:
        path: the slide file.
        read_at: microns per pixel of the image that is read: ``predictor.spec.microns_per_pixel``.
        microns_per_pixel: scale of the slide's finest level; by default the file's own.
        white: also classify tiles of empty glass.

    Raises:
        SlideError: the file is no slide, states no scale, or is coarser than ``read_at``.
        UsageError: ``slide_package_missing``: the extra ``slides`` is not installed. ``slide_model_without_scale``:
            ``read_at`` is None. A scale is no number above 0.
        MachineError: memory, file descriptors or I/O failed.
    """
    name = os.fspath(path)
    if read_at is None:
        raise UsageError(
            f"{name}: found a model without microns per pixel in its spec, expected the scale that it is made for. "
            "State it with --read-at.",
            code="slide_model_without_scale",
        )
    for microns in (read_at, microns_per_pixel):
        if microns is not None and not (math.isfinite(microns) and microns > 0.0):
            raise UsageError(f"found {microns:g} microns per pixel, expected a number above 0. Correct it.")
    try:
        from edge_runtime.slides.opening import open_pyramid  # imported here: the extra may be missing
    except ModuleNotFoundError as error:
        raise package_missing(error.name) from None
    pyramid = open_pyramid(name)
    try:
        return Slide(pyramid, reading_of(pyramid, microns_per_pixel, read_at), white=white)
    except BaseException:
        pyramid.close()
        raise


def package_missing(name: str | None) -> UsageError:
    """Return the error for a package of the extra ``slides`` that is not installed."""
    return UsageError(
        f'found no package {name}, expected the extra slides. Run: pip install "edge-predict[slides]"',
        code="slide_package_missing",
    )


@dataclass(frozen=True)
class _Overview:
    level: int
    factor: int
    width_px: int
    height_px: int


def overview(pyramid: Pyramid, reading: SlideReading, side_px: int) -> npt.NDArray[np.uint8]:
    """Return the whole slide, reduced, uint8 H×W×3 BGR; damaged places are grey."""
    plan = _plan(pyramid, reading, side_px)
    found = np.full((plan.height_px, plan.width_px, 3), MISSING, np.uint8)
    for y in range(0, plan.height_px, OVERVIEW_BLOCK_PX):
        for x in range(0, plan.width_px, OVERVIEW_BLOCK_PX):
            size = min(OVERVIEW_BLOCK_PX, plan.width_px - x), min(OVERVIEW_BLOCK_PX, plan.height_px - y)
            try:
                block = averaged(partial(pyramid.read, plan.level), x, y, *size, plan.factor)
            except SlideError:
                continue
            found[y : y + size[1], x : x + size[0]] = block
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _plan(pyramid: Pyramid, reading: SlideReading, side_px: int) -> _Overview:
    """Return the coarsest level with at least ``side_px`` pixels, or the one that is read, and its reduction."""
    longer = [max(level.width_px, level.height_px) for level in pyramid.levels]
    level = max((n for n, side in enumerate(longer) if side >= side_px), default=reading.level)
    size = pyramid.levels[level]
    factor = max(UNIT, -(-longer[level] * UNIT // side_px))
    return _Overview(level, factor, size.width_px * UNIT // factor, size.height_px * UNIT // factor)
