"""Pyramids in TIFF: of Aperio, Leica, Philips and Ventana, OME-TIFF, and without a vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.integration.slides.layouts.drawing import TILE, Pixels, jpeg, tiles

SVS = "Aperio Image Library v12.0.15 \r\n{width}x{height} (256x256) |AppMag = 20|MPP = {microns}"
Page = tuple["Pixels | Corner", dict[str, Any]]
Layout = Callable[[Sequence["Pixels | Corner"], float | None], Iterator[Page]]
"""Yields each image of a file with the options of tifffile's writer."""


@dataclass(frozen=True)
class Corner:
    """A level of which the upper left corner alone has pixels. Tiles without pixels are not stored."""

    shown: Pixels
    side: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.side, self.side, 3

    def tiles(self) -> Iterator[Pixels | None]:
        """Yield each tile, None for one that is not stored."""
        for y in range(0, self.side, TILE):
            for x in range(0, self.side, TILE):
                part = self.shown[y : y + TILE, x : x + TILE]
                yield next(tiles(part)) if part.size else None


def _aperio(levels: Sequence[Pixels | Corner], microns: float | None) -> Iterator[Page]:
    """Level 0, a thumbnail in strips, the other levels; the scale stands in the description."""
    height, width = levels[0].shape[:2]
    described = SVS.format(width=width, height=height, microns=microns)
    if microns is None:
        described = described.rpartition("|")[0]
    for number, level in enumerate(levels):
        yield level, {"description": described}
        if number == 0:
            assert isinstance(level, np.ndarray)
            thumbnail = {"tile": None, "compression": None, "description": described}
            yield np.ascontiguousarray(level[::16, ::16]), thumbnail


def _generic(levels: Sequence[Pixels | Corner], microns: float | None) -> Iterator[Page]:
    """The scale is a resolution per centimetre."""
    scale: dict[str, Any] = {}
    if microns is not None:
        scale = {"resolution": (10_000 / microns, 10_000 / microns), "resolutionunit": "CENTIMETER"}
    for number, level in enumerate(levels):
        yield level, {"subfiletype": number and 1, **scale}


def _ome(levels: Sequence[Pixels | Corner], microns: float | None) -> Iterator[Page]:
    """The coarser levels are SubIFDs; the scale is in the OME metadata."""
    metadata: dict[str, Any] = {"axes": "YXS"}
    if microns is not None:
        metadata |= {f"PhysicalSize{axis}": microns for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    yield levels[0], {"subifds": len(levels) - 1, "metadata": metadata}
    for level in levels[1:]:
        yield level, {"subfiletype": 1}


def _leica(levels: Sequence[Pixels | Corner], microns: float | None) -> Iterator[Page]:
    """The XML of the first image has the place of the levels on the glass, in nanometres; it is one tile wider."""
    height, width = levels[0].shape[:2]
    nanometres = round((microns or 4.0) * 1000)
    view = f'sizeX="{width * nanometres}" sizeY="{height * nanometres}" offsetX="0" offsetY="0"'
    stored = "".join(
        f'<dimension r="{number}" ifd="{number}" sizeX="{level.shape[1]}" sizeY="{level.shape[0]}"/>'
        for number, level in enumerate(levels)
    )
    light = "<illuminationSettings><illuminationSource>brightfield</illuminationSource></illuminationSettings>"
    objective = "<objectiveSettings><objective>20</objective></objectiveSettings>"
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection sizeX="{(width + TILE) * nanometres}" sizeY="{height * nanometres}"><image><view {view}/>'
        f'<scanSettings>{objective}{light}</scanSettings><pixels sizeX="{width}" sizeY="{height}">{stored}</pixels>'
        "</image></collection></scn>"
    )
    for number, (level, options) in enumerate(_generic(levels, microns)):
        yield level, {**options, "description": xml if number == 0 else None}


def _philips(levels: Sequence[Pixels | Corner], microns: float | None) -> Iterator[Page]:
    """The scale of each level is in the XML of the first image; the software is Philips."""

    def attribute(name: str, content: object) -> str:
        return f'<Attribute Name="{name}">{content}</Attribute>'

    def spacing(step: float) -> str:
        millimetres = f"&quot;{(microns or 4.0) * step / 1000}&quot;"
        return attribute("DICOM_PIXEL_SPACING", f"{millimetres} {millimetres}")

    wide = levels[0].shape[1]
    steps = [
        f'<DataObject ObjectType="PixelDataRepresentation">{spacing(round(wide / level.shape[1]))}</DataObject>'
        for level in levels
    ]
    scanned = (
        attribute("PIM_DP_IMAGE_TYPE", "WSI")
        + spacing(1)
        + attribute("PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE", f"<Array>{''.join(steps)}</Array>")
    )
    image = f'<Array><DataObject ObjectType="DPScannedImage">{scanned}</DataObject></Array>'
    xml = f'<DataObject ObjectType="DPUfsImport">{attribute("PIM_DP_SCANNED_IMAGES", image)}</DataObject>'
    for number, level in enumerate(levels):
        yield (
            level,
            {"software": "Philips DP v1.0", "description": xml if number == 0 else None, "subfiletype": number and 1},
        )


def _ventana(levels: Sequence[Pixels | Corner], microns: float | None) -> Iterator[Page]:
    """A macro image with the scale, then levels whose sizes are whole tiles; tiles are joined without overlap."""
    down, across = (side // TILE for side in levels[0].shape[:2])
    assert all(side % TILE == 0 for side in levels[0].shape[:2])
    scan = f'<iScan Z-layers="1" Magnification="20" ScanRes="{microns}"/>'
    macro = np.full((TILE, TILE, 3), 230, np.uint8)
    yield macro, {"description": "Label Image", "extratags": [(700, 1, None, scan.encode(), True)]}
    joint = '<TileJointInfo Direction="{}" Tile1="{}" Tile2="{}" OverlapX="0" OverlapY="0" Confidence="100"/>'
    numbers = [[(down - 1 - row) * across + (column if (down - 1 - row) % 2 == 0 else across - 1 - column) + 1
                for column in range(across)] for row in range(down)]  # fmt: skip
    joints = [joint.format("RIGHT", row[n], row[n + 1]) for row in numbers for n in range(across - 1)]
    joints += [joint.format("UP", numbers[n + 1][m], numbers[n][m]) for n in range(down - 1) for m in range(across)]
    info = (
        f'<ImageInfo AOIScanned="1" Width="{TILE}" Height="{TILE}" NumCols="{across}" NumRows="{down}" Pos-X="0" '
        f'Pos-Y="0">{"".join(joints)}</ImageInfo>'
    )
    encoded = (
        f'<EncodeInfo Ver="2"><SlideInfo/><SlideStitchInfo>{info}</SlideStitchInfo><AoiOrigin>'
        '<AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    )
    for number, level in enumerate(levels):
        magnification = 20 / round(levels[0].shape[1] / level.shape[1])
        tags = [(700, 1, None, encoded.encode(), True)] if number == 0 else []
        yield level, {"description": f"level={number} mag={magnification:g} quality=90", "extratags": tags}


def _write(
    layout: Layout,
    path: Path,
    levels: Sequence[Pixels | Corner],
    microns: float | None = 4.0,
    *,
    compression: str | None = "zlib",
) -> Path:
    """Write the levels of a slide in tiles. ``jpeg`` stores exactly what ``through_jpeg`` returns."""
    with tifffile.TiffWriter(path, ome=layout is _ome, bigtiff=isinstance(levels[0], Corner)) as file:
        for level, options in layout(levels, microns):
            common = {"tile": (TILE, TILE), "compression": compression, "photometric": "rgb", "metadata": None}
            data: Any = level
            if isinstance(level, Corner):
                common |= {"shape": level.shape, "dtype": np.uint8}
                data = level.tiles()
            elif compression == "jpeg" and "tile" not in options:
                common |= {"shape": level.shape, "dtype": np.uint8, "photometric": "ycbcr", "subsampling": (1, 1)}
                data = map(jpeg, tiles(level))
            file.write(data, **{**common, **options})
    return path


write_svs = partial(_write, _aperio)
write_tiled = partial(_write, _generic)
write_ome = partial(_write, _ome)
write_scn = partial(_write, _leica)
write_philips = partial(_write, _philips)
write_ventana = partial(_write, _ventana)


def write_sparse(path: Path, side: int, corner: Pixels, *, compression: str = "zlib") -> Path:
    """Write a pyramid of three levels, 4 microns per pixel, of which the upper left corner alone has pixels."""
    levels = [Corner(corner[::step, ::step], side // step) for step in (1, 4, 16)]
    return write_tiled(path, levels, compression=compression)


def place(path: Path, level: int, number: int) -> tuple[int, int]:
    """Return offset and size of a stored tile."""
    with tifffile.TiffFile(path) as file:
        page = file.series[0].levels[level].keyframe
        return page.dataoffsets[number], page.databytecounts[number]


def overwrite(path: Path, offset: int, size: int) -> None:
    """Replace bytes by zeros, as an interrupted copy does."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(bytes(size))


def damage(path: Path, level: int, number: int) -> Path:
    """Overwrite part of one stored tile."""
    offset, size = place(path, level, number)
    overwrite(path, offset + size // 2, 64)
    return path


def cut_short(path: Path, number: int) -> Path:
    """Overwrite the second half of a stored tile of level 0."""
    offset, size = place(path, 0, number)
    overwrite(path, offset + size // 2, size - size // 2)
    return path
