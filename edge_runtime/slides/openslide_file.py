"""A slide that OpenSlide reads."""

from __future__ import annotations

from collections.abc import Container
from fractions import Fraction
from threading import Lock

import numpy as np
from openslide import OpenSlide, OpenSlideCache, OpenSlideError, OpenSlideUnsupportedFormatError

from edge_runtime.platform.machine_faults import raise_machine_fault
from edge_runtime.slides.pyramid import WHITE, Level, Pixels, damaged, unreadable

CACHE_BYTES = 24 << 20
"""Decoded tiles that OpenSlide keeps, for all threads together."""
SUBPIXEL = 512
"""OpenSlide copies stored pixels if they are off by less than a part of a pixel; above that it interpolates."""

__all__ = ["OpenSlideUnsupportedFormatError", "SlideFile"]


class SlideFile:
    """A :class:`edge_runtime.slides.pyramid.Pyramid` by OpenSlide.

    An OpenSlide handle fails for ever after its first error. So each read takes a handle that no other thread uses,
    and a handle with an error is closed.
    """

    def __init__(self, path: str, name: str) -> None:
        """Open a slide.

        Raises:
            SlideError: ``slide_unreadable``.
            OpenSlideUnsupportedFormatError: OpenSlide does not know this format.
            MachineError: memory, file descriptors or I/O failed.
        """
        self.name, self._path = name, path
        self._cache, self._idle, self._lock = OpenSlideCache(CACHE_BYTES), list[OpenSlide](), Lock()
        try:
            slide = self._open()
            sizes, downsamples, known = slide.level_dimensions, slide.level_downsamples, dict(slide.properties)
        except OpenSlideUnsupportedFormatError:
            raise
        except OpenSlideError as error:
            raise_machine_fault(_fault_of_file(path) or error, name)
            raise unreadable(name, error) from error
        self._idle.append(slide)
        self.vendor = known.get("openslide.vendor", "")
        self._background = tuple(bytes.fromhex(known.get("openslide.background-color", "FFFFFF")))
        self.levels = tuple(
            Level(width, height, _whole(downsample))
            for (width, height), downsample in zip(sizes, downsamples, strict=True)
        )
        self._numbers = tuple(range(len(self.levels)))
        # where tiles overlap, or lie at parts of a pixel, OpenSlide names no size of a tile
        side_by_side = all(f"openslide.level[{number}].tile-width" in known for number in self._numbers)
        self.exact = side_by_side and all(_is_exact(level) for level in self.levels)
        sides = [_number(known.get(f"openslide.mpp-{axis}")) for axis in "xy"]
        self.microns = None if sides[0] is None or sides[1] is None else (sides[0], sides[1])

    def keep_levels(self, sizes: Container[tuple[int, int]]) -> None:
        """Leave out the levels, other than level 0, whose width and height are not among these."""
        kept = [n for n, level in enumerate(self.levels) if n == 0 or (level.width_px, level.height_px) in sizes]
        self._numbers = tuple(self._numbers[n] for n in kept)
        self.levels = tuple(self.levels[n] for n in kept)

    def _open(self) -> OpenSlide:
        slide = OpenSlide(self._path)
        slide.set_cache(self._cache)
        return slide

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """See :class:`edge_runtime.slides.pyramid.Pyramid`."""
        with self._lock:
            slide = self._idle.pop() if self._idle else None
        step = self.levels[level].downsample
        try:
            slide = slide or self._open()
            found = slide.read_region((round(x * step), round(y * step)), self._numbers[level], (width, height))
            pixels = np.asarray(found)
        except OpenSlideError as error:
            if slide is not None:
                slide.close()
            raise_machine_fault(_fault_of_file(self._path) or error, self.name)
            raise damaged(self.name, level, x, y, error) from error
        with self._lock:
            self._idle.append(slide)
        return self._opaque(pixels)

    def _opaque(self, pixels: Pixels) -> Pixels:
        """Return RGB of RGBA. What no tile covers has the background colour of the file, which is white by default."""
        colours, alpha = pixels[..., :3], pixels[..., 3:].astype(np.uint32)
        if (alpha == WHITE).all():
            return np.ascontiguousarray(colours)
        ground = np.array(self._background, np.uint32)
        mixed = (colours * alpha + ground * (WHITE - alpha) + WHITE // 2) // WHITE
        return mixed.astype(np.uint8)

    def close(self) -> None:
        """Close all handles."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()


def _whole(downsample: float) -> Fraction:
    """Return the downsample as a short fraction; a whole number where it is one."""
    return Fraction(downsample).limit_denominator(1 << 20)


def _is_exact(level: Level) -> bool:
    """Return whether every pixel of a level has a place in level 0 that is near enough to a whole number."""
    off = abs(level.downsample - round(level.downsample)) * max(level.width_px, level.height_px)
    return off * SUBPIXEL < level.downsample


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _fault_of_file(path: str) -> OSError | None:
    """Return the error of reading the file's first byte. OpenSlide's own errors do not tell damage from a lost disk."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        return error
    return None
