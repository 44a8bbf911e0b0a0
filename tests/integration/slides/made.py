"""Slides that the tests write: pyramids in the layouts of several vendors, lossless, with known pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
TILE = 256
SVS = "Aperio Image Library v12.0.15 \r\n{width}x{height} (256x256) |AppMag = 20|MPP = {microns}"


def tissue(height: int, width: int, seed: int = 93) -> Pixels:
    """Coloured grain that grows rougher downwards and darker to the right, uint8 RGB."""
    rng = np.random.default_rng(seed)
    ground = np.linspace(205, 60, width)[np.newaxis, :, np.newaxis] * np.array([1.0, 0.75, 0.9])
    grain = rng.normal(0, 1, (height, width, 3)) * np.linspace(0, 12, height)[:, np.newaxis, np.newaxis]
    return (ground + grain).clip(0, 255).astype(np.uint8)


def write_svs(
    path: Path, levels: Sequence[Pixels], microns: float | None = 4.0, *, compression: str | None = "zlib"
) -> Path:
    """Write Aperio's layout: level 0, a thumbnail, the other levels; the scale stands in the description."""
    height, width = levels[0].shape[:2]
    described = SVS.format(width=width, height=height, microns=microns)
    if microns is None:
        described = described.rpartition("|")[0]
    thumbnail = np.ascontiguousarray(levels[0][::16, ::16])
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            file.write(
                level,
                tile=(TILE, TILE),
                compression=compression,
                photometric="rgb",
                metadata=None,
                description=described,
            )
            if number == 0:
                file.write(thumbnail, photometric="rgb", metadata=None, description=described)
    return path


def write_tiled(
    path: Path, levels: Sequence[Pixels], microns: float | None = 4.0, *, compression: str | None = "zlib"
) -> Path:
    """Write a pyramid without a vendor; its scale is a resolution per centimetre."""
    scale: dict[str, Any] = {}
    if microns is not None:
        scale = {"resolution": (10_000 / microns, 10_000 / microns), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            file.write(
                level,
                tile=(TILE, TILE),
                compression=compression,
                photometric="rgb",
                metadata=None,
                subfiletype=0 if number == 0 else 1,
                **scale,
            )
    return path


def write_ome(
    path: Path, levels: Sequence[Pixels], microns: float | None = 4.0, *, compression: str | None = "zlib"
) -> Path:
    """Write OME-TIFF with the coarser levels in SubIFDs."""
    metadata: dict[str, Any] = {"axes": "YXS"}
    if microns is not None:
        metadata |= {f"PhysicalSize{axis}": microns for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    with tifffile.TiffWriter(path, ome=True) as file:
        for number, level in enumerate(levels):
            file.write(
                level,
                tile=(TILE, TILE),
                compression=compression,
                photometric="rgb",
                subfiletype=0 if number == 0 else 1,
                subifds=len(levels) - 1 if number == 0 else None,
                metadata=metadata if number == 0 else None,
            )
    return path


def write_dicom(path: Path, pixels: Pixels, microns: float = 4.0) -> Path:
    """Write one level as a DICOM VL Whole Slide Microscopy Image: uncompressed RGB, tiled full."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid

    height, width = pixels.shape[:2]
    down, across = -(-height // TILE), -(-width // TILE)
    padded = np.full((down * TILE, across * TILE, 3), 255, np.uint8)
    padded[:height, :width] = pixels
    frames = padded.reshape(down, TILE, across, TILE, 3).swapaxes(1, 2)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = VLWholeSlideMicroscopyImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    found.StudyInstanceUID, found.SeriesInstanceUID = generate_uid(), generate_uid()
    found.FrameOfReferenceUID = generate_uid()
    found.Modality, found.ImageType = "SM", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    found.DimensionOrganizationType, found.NumberOfFrames = "TILED_FULL", down * across
    found.Rows, found.Columns, found.SamplesPerPixel, found.PhotometricInterpretation = TILE, TILE, 3, "RGB"
    found.PlanarConfiguration, found.BitsAllocated, found.BitsStored, found.HighBit = 0, 8, 8, 7
    found.PixelRepresentation, found.TotalPixelMatrixColumns, found.TotalPixelMatrixRows = 0, width, height
    found.TotalPixelMatrixFocalPlanes, found.NumberOfOpticalPaths = 1, 1
    measures, groups = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [microns / 1000, microns / 1000], 0.001
    groups.PixelMeasuresSequence = [measures]
    found.SharedFunctionalGroupsSequence = [groups]
    optical = Dataset()
    optical.OpticalPathIdentifier = "1"
    found.OpticalPathSequence = [optical]
    found.PixelData = frames.tobytes()
    found.save_as(path, enforce_file_format=True)
    return path


def write_sparse(path: Path, side: int, corner: Pixels, *, compression: str = "zlib", tile: int = 512) -> Path:
    """Write a pyramid of three levels of which the upper left corner alone has pixels; other tiles are not stored."""

    def tiles(level_side: int, shown: Pixels) -> Iterator[Pixels | None]:
        for y in range(0, level_side, tile):
            for x in range(0, level_side, tile):
                part = shown[y : y + tile, x : x + tile]
                if not part.size:
                    yield None
                    continue
                whole = np.full((tile, tile, 3), 255, np.uint8)
                whole[: part.shape[0], : part.shape[1]] = part
                yield whole

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for number, step in enumerate((1, 4, 16)):
            file.write(
                tiles(side // step, corner[::step, ::step]),
                shape=(side // step, side // step, 3),
                dtype=np.uint8,
                tile=(tile, tile),
                compression=compression,
                photometric="rgb",
                metadata=None,
                subfiletype=0 if number == 0 else 1,
                resolution=(2_500, 2_500),  # 4 microns per pixel
                resolutionunit="CENTIMETER",
            )
    return path


def damage(path: Path, level: int, number: int) -> Path:
    """Overwrite part of one stored tile of a TIFF file."""
    with tifffile.TiffFile(path) as file:
        page = file.series[0].levels[level].keyframe
        offset, size = page.dataoffsets[number], page.databytecounts[number]
    with path.open("r+b") as stream:
        stream.seek(offset + size // 2)
        stream.write(bytes(64))
    return path


def cut_short(path: Path, number: int) -> Path:
    """Replace the second half of a stored tile of level 0 by zeros, as an interrupted copy does."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offset, size = page.dataoffsets[number], page.databytecounts[number]
    with path.open("r+b") as stream:
        stream.seek(offset + size // 2)
        stream.write(bytes(size - size // 2))
    return path
