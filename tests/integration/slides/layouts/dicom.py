"""DICOM VL Whole Slide Microscopy Images: one object for each level, all of one series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage, generate_uid

from tests.integration.slides.layouts.drawing import TILE, Pixels, jpeg, tiles


def write_dicom(folder: Path, levels: Sequence[Pixels], microns: float = 4.0, *, lossless: bool = True) -> Path:
    """Write a slide, tiled full: uncompressed RGB, or JPEG. Return the file of level 0."""
    series, wide = (generate_uid(), generate_uid(), generate_uid()), levels[0].shape[1]
    for number, level in enumerate(levels):
        found = _object(folder / f"{number}.dcm", series, ExplicitVRLittleEndian if lossless else JPEGBaseline8Bit)
        found.ImageType = [
            "ORIGINAL" if number == 0 else "DERIVED",
            "PRIMARY",
            "VOLUME",
            "NONE" if number == 0 else "RESAMPLED",
        ]
        found.InstanceNumber = number + 1
        found.TotalPixelMatrixRows, found.TotalPixelMatrixColumns = level.shape[:2]
        _measure(found, microns * wide / level.shape[1] / 1000)
        frames = list(tiles(level))
        found.NumberOfFrames = len(frames)
        if lossless:
            found.PhotometricInterpretation, found.PixelData = "RGB", b"".join(frame.tobytes() for frame in frames)
        else:
            found.PhotometricInterpretation, found.PixelData = "YBR_FULL_422", encapsulate(list(map(jpeg, frames)))
            found.LossyImageCompression, found.LossyImageCompressionMethod = "01", "ISO_10918_1"
        found.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder / "0.dcm"


def _object(path: Path, series: tuple[UID, UID, UID], syntax: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = VLWholeSlideMicroscopyImageStorage, generate_uid()
    meta.TransferSyntaxUID = syntax
    found = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    found.StudyInstanceUID, found.SeriesInstanceUID, found.FrameOfReferenceUID = series
    found.Modality, found.DimensionOrganizationType = "SM", "TILED_FULL"
    found.Rows, found.Columns, found.SamplesPerPixel, found.PlanarConfiguration = TILE, TILE, 3, 0
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 8, 8, 7, 0
    found.TotalPixelMatrixFocalPlanes, found.NumberOfOpticalPaths = 1, 1
    optical = Dataset()
    optical.OpticalPathIdentifier = "1"
    found.OpticalPathSequence = [optical]
    return found


def _measure(found: FileDataset, spacing_mm: float) -> None:
    measures, groups = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [f"{spacing_mm:.10g}"] * 2, 0.001
    groups.PixelMeasuresSequence = [measures]
    found.SharedFunctionalGroupsSequence = [groups]
