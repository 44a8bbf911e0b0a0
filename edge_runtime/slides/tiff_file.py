"""A tiled TIFF file that tifffile reads: OME-TIFF, and pyramids whose levels OpenSlide would interpolate."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from threading import Lock
from typing import Any
from xml.etree import ElementTree

import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, PLANARCONFIG, TiffFile, TiffFileError, TiffPage

from edge_runtime.errors import MachineError, SlideError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import read
from edge_runtime.platform.machine_faults import raise_machine_fault
from edge_runtime.slides.pyramid import WHITE, Level, Pixels, damaged, unreadable

CACHE_BYTES = 24 << 20
"""Decoded tiles that are kept, for all threads together."""
_MICRONS = {"µm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "Å": 1e-4}
_COLOURS = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # damage is told by an error alone


class TiledTiff:
    """A :class:`edge_runtime.slides.pyramid.Pyramid` of one image of a TIFF file: uint8, RGB, in tiles."""

    exact = True

    def __init__(self, path: str, name: str, sizes: Sequence[tuple[int, int]] | None = None) -> None:
        """Open a file.

        Args:
            path: the file.
            name: name in error messages.
            sizes: width and height of the levels to take; by default the levels of the first image.

        Raises:
            SlideError: ``slide_unreadable`` or ``slide_format``.
            MachineError: memory, file descriptors or I/O failed.
        """
        self.name = name
        try:
            self._file = TiffFile(path)
        except Exception as error:  # tifffile raises errors of many kinds for damaged files
            raise_machine_fault(error, name)
            raise unreadable(name, error) from error
        try:
            self._pages = tuple(self._series() if sizes is None else self._with_sizes(sizes))
        except Exception as error:  # the same
            self.close()
            raise_machine_fault(error, name)
            raise unreadable(name, error) from error
        try:
            for page in self._pages:
                _check(page, name)
        except SlideError:
            self.close()
            raise
        wide = self._pages[0].imagewidth
        self.levels = tuple(
            Level(page.imagewidth, page.imagelength, Fraction(wide, page.imagewidth).limit_denominator(1 << 20))
            for page in self._pages
        )
        self.microns = microns_of(self._file.ome_metadata)
        self._tiles: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._held, self._lock = 0, Lock()

    def _series(self) -> Iterator[TiffPage]:
        """Yield the levels of the first image, as tifffile finds them."""
        return (level.keyframe for level in self._file.series[0].levels)

    def _with_sizes(self, sizes: Sequence[tuple[int, int]]) -> Iterator[TiffPage]:
        """Yield the first page in tiles of each size."""
        pages = [page for page in self._file.pages if isinstance(page, TiffPage) and page.is_tiled]
        for size in sizes:
            yield next(page for page in pages if (page.imagewidth, page.imagelength) == size)

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """See :class:`edge_runtime.slides.pyramid.Pyramid`."""
        page = self._pages[level]
        wide, high = page.tilewidth, page.tilelength
        across = -(-page.imagewidth // wide)
        found = np.full((height, width, 3), WHITE, np.uint8)
        for row in range(y // high, -(-(y + height) // high)):
            for column in range(x // wide, -(-(x + width) // wide)):
                tile = self._tile(level, row * across + column, (column * wide, row * high))
                if tile is None:
                    continue
                left, top = column * wide - x, row * high - y  # of the tile, in the rectangle
                shown = tile[max(0, -top) : height - top, max(0, -left) : width - left]
                place = slice(max(0, top), max(0, top) + len(shown)), slice(max(0, left), max(0, left) + shown.shape[1])
                found[place] = shown
        return found

    def _tile(self, level: int, number: int, corner: tuple[int, int]) -> Pixels | None:
        """Return the pixels of a stored tile; None if the file has none there."""
        with self._lock:
            if (level, number) in self._tiles:
                self._tiles.move_to_end((level, number))
                return self._tiles[level, number]
            page = self._pages[level]
            size, data = page.databytecounts[number], b""
            if size:
                try:
                    self._file.filehandle.seek(page.dataoffsets[number])
                    data = self._file.filehandle.read(size)
                except OSError as error:
                    raise_machine_fault(error, self.name)
                    raise damaged(self.name, level, *corner, error) from error
        if not size:
            return None
        tile = self._decoded(level, number, data, corner)
        with self._lock:
            if (level, number) not in self._tiles:
                self._tiles[level, number], self._held = tile, self._held + tile.nbytes
            while self._held > CACHE_BYTES and len(self._tiles) > 1:
                self._held -= self._tiles.popitem(last=False)[1].nbytes
        return tile

    def _decoded(self, level: int, number: int, data: bytes, corner: tuple[int, int]) -> Pixels:
        page = self._pages[level]
        try:
            if len(data) < page.databytecounts[number]:
                raise ValueError(f"the file ends after {len(data)} of {page.databytecounts[number]} bytes of the tile")
            if page.compression == COMPRESSION.JPEG:
                return _of_jpeg(page, data, self.name)
            decoded: Any = page.decode(data, number)[0]
            if decoded is None:
                raise ValueError("no pixels")
            # the last axes are rows, columns and channels; tiles at the edge are cut to the image
            return np.ascontiguousarray(decoded.reshape(decoded.shape[-3:]), dtype=np.uint8)
        except MachineError:
            raise
        except Exception as error:  # decoders raise errors of many kinds
            raise_machine_fault(error, self.name)
            raise damaged(self.name, level, *corner, error) from error

    def close(self) -> None:
        """See :class:`edge_runtime.slides.pyramid.Pyramid`."""
        self._file.close()


def _of_jpeg(page: TiffPage, data: bytes, name: str) -> Pixels:
    """Return the pixels of a tile that is a JPEG image, whose tables may stand elsewhere in the file.

    It is decoded as a JPEG file would be, because that reader finds damage that tifffile's decoder passes over.

    Raises:
        ImageError: the image is damaged.
    """
    tables = (page.jpegtables or b"\xff\xd8\xff\xd9")[2:-2]
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([page.photometric == PHOTOMETRIC.YCBCR])
    image = read(b"\xff\xd8" + adobe + tables + data[2:], name=name)
    if image.pixels.shape != (page.tilelength, page.tilewidth, 3) or image.order is not ColourOrder.BGR:
        raise ValueError(f"a tile of {image.pixels.shape}")
    return np.ascontiguousarray(image.pixels[..., ::-1])


def microns_of(ome_xml: str | None) -> tuple[float, float] | None:
    """Return microns per pixel across and down, from the metadata of an OME-TIFF file; None if they are not there."""
    if not ome_xml:
        return None
    try:
        root = ElementTree.fromstring(ome_xml)
    except ElementTree.ParseError:
        return None
    pixels = next((each for each in root.iter() if each.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    sides = [_microns(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY"]
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])


def _microns(text: str | None, unit: str) -> float | None:
    try:
        return None if text is None or unit not in _MICRONS else float(text) * _MICRONS[unit]
    except ValueError:
        return None


def _check(page: TiffPage, name: str) -> None:
    """Check that a level holds colour of 8 bits in tiles.

    Raises:
        SlideError: ``slide_format``: it does not.
    """
    found = f"{page.samplesperpixel} samples of {page.bitspersample} bits, photometric {page.photometric}"
    whole = page.samplesperpixel == 3 and page.bitspersample == 8 and page.imagedepth == 1 and page.ndim == 3
    together = page.planarconfig == PLANARCONFIG.CONTIG and page.photometric in _colours(page)
    if not page.is_tiled:
        found, whole = "strips", False
    if not (whole and together):
        raise SlideError(
            f"{name}: found {found}, expected tiles of RGB with 8 bits. Export the slide as RGB OME-TIFF in tiles.",
            code="slide_format",
        )


def _colours(page: TiffPage) -> tuple[PHOTOMETRIC, ...]:
    """Return the colour models whose decoded pixels are RGB: YCbCr is, where JPEG holds it."""
    jpeg = page.compression in (COMPRESSION.JPEG, COMPRESSION.APERIO_JP2000_YCBC)
    return _COLOURS if jpeg else (PHOTOMETRIC.RGB,)


__all__ = ["TiffFileError", "TiledTiff", "microns_of"]
