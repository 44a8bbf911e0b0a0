"""Choose the library that reads a slide: OpenSlide, or tifffile where OpenSlide cannot."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from tifffile import COMPRESSION, TiffFile, TiffFileError, TiffPage

from edge_runtime.errors import ImageNotFoundError, SlideError
from edge_runtime.platform.machine_faults import raise_machine_fault
from edge_runtime.slides.mirax_parts import check_parts
from edge_runtime.slides.openslide_file import OpenSlideUnsupportedFormatError, SlideFile
from edge_runtime.slides.pyramid import Pyramid, unreadable
from edge_runtime.slides.recognition import check_readable
from edge_runtime.slides.tiff_file import TiledTiff

_DEFLATE = (COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
_HAMAMATSU = "hamamatsu"


@dataclass(frozen=True)
class _Tiff:
    """What the choice needs of a TIFF file.

    Attributes:
        sizes: width and height of each image.
    """

    ome: bool = False
    deflate: bool = False
    sizes: frozenset[tuple[int, int]] = frozenset()


def open_pyramid(path: str) -> Pyramid:
    """Open a slide.

    OpenSlide reads it, with three exceptions that tifffile reads. Of an OME-TIFF file OpenSlide shows neither the scale
    nor the coarser levels. Of a TIFF file with Deflate it does not compare the checksums, so damage stays unseen.
    Levels whose size is no whole part of level 0 it shifts by parts of a pixel; tifffile reads them as they are stored.

    Raises:
        ImageNotFoundError: ``image_not_found`` or ``image_not_regular``.
        SlideError: ``slide_unreadable``, ``slide_parts_missing`` or ``slide_format``.
        MachineError: memory, file descriptors or I/O failed.
    """
    _check_file(path)
    check_readable(path)
    check_parts(path)
    tiff = _tiff(path)
    if tiff is not None and tiff.ome:
        return TiledTiff(path, path)
    try:
        slide = SlideFile(path, path)
    except OpenSlideUnsupportedFormatError:
        if tiff is None:
            raise unreadable(path, "its format is unknown") from None
        return TiledTiff(path, path)
    if slide.vendor == _HAMAMATSU:  # OpenSlide adds levels there: JPEG images decoded at 1/2, 1/4 and 1/8
        slide.keep_levels(frozenset() if tiff is None else tiff.sizes)
    return slide if tiff is None or (slide.exact and not tiff.deflate) else _by_tifffile(path, slide)


def _by_tifffile(path: str, slide: SlideFile) -> Pyramid:
    """Return the same levels by tifffile, if it finds them; else the slide by OpenSlide."""
    try:
        tiff = TiledTiff(path, path, [(each.width_px, each.height_px) for each in slide.levels])
    except SlideError:
        return slide
    tiff.microns, tiff.levels = slide.microns, slide.levels
    slide.close()
    return tiff


def _tiff(path: str) -> _Tiff | None:
    """Look into a TIFF file; None for anything else."""
    try:
        with TiffFile(path) as file:
            if file.is_ome:
                return _Tiff(ome=True)
            file.pages.useframes = False  # frames would have the size of the first page
            sizes = frozenset((page.imagewidth, page.imagelength) for page in file.pages if isinstance(page, TiffPage))
            return _Tiff(deflate=file.pages.first.compression in _DEFLATE, sizes=sizes)
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
