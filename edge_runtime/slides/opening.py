"""Choose the library that reads a slide: OpenSlide, or tifffile where OpenSlide cannot."""

from __future__ import annotations

import os
import stat

from tifffile import COMPRESSION, TiffFile, TiffFileError

from edge_runtime.errors import ImageNotFoundError, SlideError
from edge_runtime.platform.machine_faults import raise_machine_fault
from edge_runtime.slides.openslide_file import OpenSlideUnsupportedFormatError, SlideFile
from edge_runtime.slides.pyramid import Pyramid, unreadable
from edge_runtime.slides.tiff_file import TiledTiff

_DEFLATE = (COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)


def open_pyramid(path: str) -> Pyramid:
    """Open a slide.

    OpenSlide reads it, with three exceptions that tifffile reads. Of an OME-TIFF file OpenSlide shows neither the scale
    nor the coarser levels. Of a TIFF file with Deflate it does not compare the checksums, so damage stays unseen.
    Levels whose size is no whole part of level 0 it shifts by parts of a pixel; tifffile reads them as they are stored.

    Raises:
        ImageNotFoundError: ``image_not_found`` or ``image_not_regular``.
        SlideError: ``slide_unreadable`` or ``slide_format``.
        MachineError: memory, file descriptors or I/O failed.
    """
    _check_file(path)
    kind = _tiff_kind(path)
    if kind == "ome":
        return TiledTiff(path, path)
    try:
        slide = SlideFile(path, path)
    except OpenSlideUnsupportedFormatError:
        if kind is None:
            raise unreadable(path, "its format is unknown") from None
        return TiledTiff(path, path)
    return slide if kind is None or (slide.exact and kind != "deflate") else _by_tifffile(path, slide)


def _by_tifffile(path: str, slide: SlideFile) -> Pyramid:
    """Return the same levels by tifffile, if it finds them; else the slide by OpenSlide."""
    try:
        tiff = TiledTiff(path, path, [(each.width_px, each.height_px) for each in slide.levels])
    except SlideError:
        return slide
    tiff.microns, tiff.levels = slide.microns, slide.levels
    slide.close()
    return tiff


def _tiff_kind(path: str) -> str | None:
    """Return ``ome`` or ``deflate`` for such TIFF files, ``tiff`` for another one, and None for anything else."""
    try:
        with TiffFile(path) as file:
            return "ome" if file.is_ome else "deflate" if file.pages.first.compression in _DEFLATE else "tiff"
    except TiffFileError:
        return None
    except Exception as error:  # a damaged TIFF file: the reader says what is wrong with it
        raise_machine_fault(error, path)
        return None


def _check_file(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise_machine_fault(error, path)
        raise ImageNotFoundError(f"{path}: found no file there, expected a slide. Check the path.") from None
    if not stat.S_ISREG(mode):
        raise ImageNotFoundError(
            f"{path}: found no regular file, expected a slide. Name one file of it.", code="image_not_regular"
        )
