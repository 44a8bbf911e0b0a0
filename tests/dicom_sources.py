"""Drawn DICOM objects for the tests of reports, receiver and Orthanc: no patient, no published image."""

from __future__ import annotations

import io

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
ROOT = "1.2.826.0.1.3680043.8.498.77"
MARK = "ZQX"
"""Part of every marked value; no output but the results themselves may hold it."""


def marked() -> dict[str, str]:
    """Values that name a patient, a person or a place, each with :data:`MARK`."""
    return {
        "PatientName": f"{MARK}NAME^{MARK}GIVEN",
        "PatientID": f"{MARK}ID1",
        "AccessionNumber": f"{MARK}ACC1",
        "StudyID": f"{MARK}STUDY",
        "ReferringPhysicianName": f"{MARK}REFERRER",
        "InstitutionName": f"{MARK}CLINIC",
        "StationName": f"{MARK}STATION",
        "StudyDescription": f"{MARK} study",
        "SeriesDescription": f"{MARK} series",
        "OperatorsName": f"{MARK}OPERATOR",
        "PatientComments": f"{MARK} comment",
    }


def ultrasound(number: int = 1, size: tuple[int, int] = (96, 128), study: int = 1) -> Dataset:
    """Return an RGB ultrasound image of ``size`` rows and columns with one region, and marked values."""
    rows, columns = size
    drawn = np.random.default_rng(number)
    pixels = np.repeat(drawn.integers(20, 90, (rows, columns, 1), dtype=np.uint8), 3, axis=2)
    pixels[rows // 3 : rows // 2, columns // 3 : columns // 2] = 200 - number % 100
    found = _plain(ULTRASOUND, number, study)
    found.Modality = "US"
    found.ImageType = ["ORIGINAL", "PRIMARY"]
    found.SamplesPerPixel, found.PlanarConfiguration, found.PhotometricInterpretation = 3, 0, "RGB"
    found.UltrasoundColorDataPresent = 0
    found.BurnedInAnnotation = "NO"
    _with_pixels(found, pixels)
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.01
    found.SequenceOfUltrasoundRegions = Sequence([region])
    return found


def _plain(sop_class: str, number: int, study: int) -> Dataset:
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID, found.SOPInstanceUID = sop_class, f"{ROOT}.{study}.1.{number}"
    found.StudyInstanceUID, found.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.1"
    for name, value in marked().items():
        setattr(found, name, value)
    found.PatientBirthDate, found.PatientSex = "19010203", "F"
    found.StudyDate = found.ContentDate = "20200102"
    found.StudyTime = found.ContentTime = "030405"
    found.SeriesNumber, found.InstanceNumber = 1, number
    found.Manufacturer, found.PatientOrientation = "Drawn", ["A", "F"]
    found.Laterality = "L"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, found.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = f"{ROOT}.9"
    found.file_meta = meta
    return found


def _with_pixels(found: Dataset, pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    found.Rows, found.Columns = pixels.shape[:2]
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 8, 8, 7, 0
    content = pixels.tobytes()
    found.PixelData = content + b"\0" * (len(content) % 2)


def encoded(dataset: Dataset) -> bytes:
    """Return the bytes of the DICOM file."""
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
