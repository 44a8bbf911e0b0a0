"""Write the score map of a slide as a pyramidal OME-TIFF file: float32, one pixel per tile, NaN without a score.

The file has the size of a pixel in microns, so that viewers lay it over the slide. Each coarser level holds the mean of
the scores under two by two pixels, without NaN. The same scores give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt
from tifffile import TiffWriter

from edge_runtime.tiling.slide import SlidePrediction

Scores = npt.NDArray[np.float32]

TILE_PX = 256
LEAST_PX = 64
"""Levels are added until the longer side is at most this; there is always one more than the full map."""
_BAND_ROWS = 256


def write_score_map(path: Path, slide: SlidePrediction) -> None:
    """Write the score map.

    Raises:
        OSError: the file cannot be written.
    """
    levels = [slide.scores]
    while len(levels) == 1 or max(levels[-1].shape) > LEAST_PX:
        levels.append(halved(levels[-1]))
    description = _ome_xml(slide).encode()
    with TiffWriter(path, ome=False) as writer:
        for number, scores in enumerate(levels):
            writer.write(
                scores,
                photometric="minisblack",
                tile=(TILE_PX, TILE_PX),
                compression="zlib",
                metadata=None,
                software=False,
                description=description if number == 0 else None,
                subifds=len(levels) - 1 if number == 0 else None,
                subfiletype=0 if number == 0 else 1,
            )


def halved(scores: Scores) -> Scores:
    """Return the means of two by two pixels, float32; NaN pixels are left out, and NaN stays where all four are."""
    rows, columns = scores.shape
    found = np.empty((-(-rows // 2), -(-columns // 2)), np.float32)
    for start in range(0, rows, _BAND_ROWS):
        band = scores[start : start + _BAND_ROWS]
        padded = np.pad(band, ((0, len(band) % 2), (0, columns % 2)), constant_values=np.nan)
        parts = [padded[down::2, right::2].astype(np.float64) for down in (0, 1) for right in (0, 1)]
        known = [~np.isnan(part) for part in parts]
        count = sum(each.astype(np.int64) for each in known)
        total = sum(np.where(there, part, 0.0) for there, part in zip(known, parts, strict=True))
        mean = np.where(count == 0, np.nan, total / np.maximum(count, 1))
        found[start // 2 : start // 2 + len(mean)] = mean
    return found


def _ome_xml(slide: SlidePrediction) -> str:
    """Return the OME metadata, without a time or an identifier that changes from file to file."""
    rows, columns = slide.scores.shape
    across, down = slide.grid.step_px
    scale = ""
    if slide.microns_per_pixel is not None:
        width, height = across * slide.microns_per_pixel, down * slide.microns_per_pixel
        scale = f'PhysicalSizeX="{width!r}" PhysicalSizeXUnit="µm" PhysicalSizeY="{height!r}" PhysicalSizeYUnit="µm" '
    name = quoteattr(f"{slide.model} {slide.version}: positive score of each tile")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.openmicroscopy.org/'
        'Schemas/OME/2016-06 http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd">'
        f'<Image ID="Image:0" Name={name}><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="float" BigEndian="false" '
        f'{scale}SizeX="{columns}" SizeY="{rows}" SizeC="1" SizeZ="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )
