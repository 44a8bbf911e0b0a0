"""Drawn DICOM objects: ultrasound frames, mammograms, circles, in every syntax that an encoder here can write."""

from __future__ import annotations

import copy
import shutil
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

from edge_runtime.bundle.dicom_input import DicomCrop, DicomInput, Frames, Photometric, SopClass, Voi

ROOT = "1.2.826.0.1.3680043.10.99999"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
ULTRASOUND_FRAMES = "1.2.840.10008.5.1.4.1.1.3.1"
MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
MAMMOGRAM_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
REPORT = "1.2.840.10008.5.1.4.1.1.88.34"

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
RLE, BASELINE = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"
LOSSLESS_14, LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
JPEG_LS, JPEG_2000 = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K = (f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
LOSSLESS = (
    *(IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN, RLE, LOSSLESS_14, LOSSLESS_SV1, JPEG_LS, JPEG_2000),
    *(HTJ2K_LOSSLESS, HTJ2K_RPCL),
)

_DCMTK = {
    LOSSLESS_14: ("dcmcjpeg", "+el"),
    LOSSLESS_SV1: ("dcmcjpeg", "+e1"),
    BASELINE: ("dcmcjpeg", "+eb"),
    JPEG_LS: ("dcmcjpls", "+el"),
    RLE: ("dcmcrle",),
}

WHOLE = DicomInput(
    objects=(SopClass(ULTRASOUND, "Ultrasound Image Storage"), SopClass(ULTRASOUND_FRAMES, "Ultrasound Multi-frame")),
    photometric=tuple(Photometric),
    voi=(Voi.NONE, Voi.LINEAR, Voi.LINEAR_EXACT),
    crop=DicomCrop.ULTRASOUND_REGION,
    frames=Frames.CASE,
    lossy=True,
)
BREAST = DicomInput(
    objects=(SopClass(MAMMOGRAM, "Digital Mammography X-Ray Image Storage - For Presentation"),),
    photometric=(Photometric.MONOCHROME1, Photometric.MONOCHROME2),
    voi=(Voi.NONE, Voi.LINEAR, Voi.LINEAR_EXACT),
    spacing_mm=0.2,
)


def meant(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray[Any, Any]:
    """A smooth image with speckle, uint8 H×W; from 128 pixels of width on with every level from 0 to 255 in it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    drawn = 110 + 70 * np.sin(x / 17) * np.cos(y / 23) + random.normal(0, 12, (height, width))
    drawn = np.clip(drawn, 0, 255).astype(np.uint8)
    if width >= 128:
        drawn[:2, :128] = np.arange(256).reshape(2, 128)
    return np.asarray(drawn)


SHOWN = meant(240, 300)
"""The image of most objects."""


def screen_with_region() -> Dataset:
    """An ultrasound screen of 500×400 pixels, whose region shows :data:`SHOWN`."""
    screen = np.zeros((400, 500), np.uint8)
    screen[60:300, 100:400] = SHOWN
    return with_region(image(screen), 100, 60, 399, 299)


def image(pixels: np.ndarray[Any, Any], class_uid: str = ULTRASOUND, **elements: Any) -> Dataset:
    """An object with these stored values: H×W or H×W×3, or N×H×W frames with ``NumberOfFrames``."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = class_uid
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"{ROOT}.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.2"
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    if pixels.ndim == 3 and not colour:
        dataset.NumberOfFrames = len(pixels)
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    set_pixels(dataset, pixels)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.HighBit = dataset.BitsStored - 1
    return dataset


def set_pixels(dataset: Dataset, pixels: np.ndarray[Any, Any]) -> None:
    """Store uncompressed values, padded to an even length."""
    data = pixels.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"


def with_region(dataset: Dataset, left: int, top: int, right: int, bottom: int, **elements: Any) -> Dataset:
    """Add an ultrasound region; ``right`` and ``bottom`` are its last column and row."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    before = list(dataset.get("SequenceOfUltrasoundRegions") or [])
    dataset.SequenceOfUltrasoundRegions = [*before, item]
    return dataset


def ultrasound(pixels: np.ndarray[Any, Any], **elements: Any) -> Dataset:
    """An ultrasound object whose region is the whole frame."""
    found = image(pixels, **elements)
    return with_region(found, 0, 0, found.Columns - 1, found.Rows - 1)


def file_of(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    """The bytes of a DICOM file in a syntax, by pydicom, dcmtk or gdcm."""
    if syntax in (IMPLICIT, EXPLICIT, DEFLATED):
        return saved(dataset, syntax)
    if syntax == BIG_ENDIAN:
        return _big_endian(dataset)
    if syntax in (JPEG_2000, HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K):
        return _jpeg_2000(dataset, syntax)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.dcm", Path(folder) / "out.dcm"
        source.write_bytes(saved(dataset, EXPLICIT))
        program, *options = _DCMTK[syntax]
        done = subprocess.run([program, *options, source, target], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return target.read_bytes()


def can_write(syntax: str) -> bool:
    """Whether the program for a syntax is installed."""
    return syntax not in _DCMTK or shutil.which(_DCMTK[syntax][0]) is not None


def saved(dataset: Dataset, syntax: str) -> bytes:
    """The bytes of a file whose pixels are in the syntax already."""
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _big_endian(dataset: Dataset) -> bytes:
    swapped = copy.deepcopy(dataset)
    if swapped.BitsAllocated == 16:
        swapped.PixelData = np.frombuffer(swapped.PixelData, "<u2").astype(">u2").tobytes()
        swapped["PixelData"].VR = "OW"
    swapped.file_meta.TransferSyntaxUID = UID(BIG_ENDIAN)
    out = BytesIO()
    swapped.save_as(out, enforce_file_format=True, implicit_vr=False, little_endian=False)
    return out.getvalue()


def _jpeg_2000(dataset: Dataset, syntax: str) -> bytes:
    """Compress every frame: by Pillow (OpenJPEG) without loss, HTJ2K by imagecodecs (OpenJPH)."""
    found = copy.deepcopy(dataset)
    colour, frames = found.SamplesPerPixel == 3, int(found.get("NumberOfFrames") or 1)
    shape = (frames, found.Rows, found.Columns) + ((3,) if colour else ())
    values = np.frombuffer(found.PixelData, f"u{found.BitsAllocated // 8}")[: int(np.prod(shape))].reshape(shape)
    found.PixelData = encapsulate([_codestream(frame, syntax) for frame in values])
    found["PixelData"].VR, found["PixelData"].is_undefined_length = "OB", True
    if colour:
        found.PhotometricInterpretation = "YBR_ICT" if syntax == HTJ2K else "YBR_RCT"
    found.file_meta.TransferSyntaxUID = UID(syntax)
    out = BytesIO()
    found.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _codestream(frame: np.ndarray[Any, Any], syntax: str) -> bytes:
    if syntax == JPEG_2000:
        out = BytesIO()
        Image.fromarray(frame).save(out, "JPEG2000", no_jp2=True, irreversible=False, mct=int(frame.ndim == 3))
        return out.getvalue()
    lossy = {"reversible": False, "level": 0.002} if syntax == HTJ2K else {}
    return bytes(imagecodecs.htj2k_encode(frame, **lossy))


def _reference(uid: str, frames: list[int] | None) -> Dataset:
    found = Dataset()
    found.ReferencedSOPClassUID, found.ReferencedSOPInstanceUID = MAMMOGRAM, uid
    if frames is not None:
        found.ReferencedFrameNumber = frames
    return found


def presentation_state(
    data: list[float],
    *,
    uid: str = f"{ROOT}.3",
    frames: list[int] | None = None,
    kind: str = "CIRCLE",
    units: str = "PIXEL",
) -> Dataset:
    """A presentation state with one graphic, by default of the image that :func:`image` makes."""
    found, series, annotation, graphic = (Dataset() for _ in range(4))
    found.SOPClassUID, found.SOPInstanceUID = PRESENTATION_STATE, f"{ROOT}.4"
    series.SeriesInstanceUID, series.ReferencedImageSequence = f"{ROOT}.2", [_reference(uid, frames)]
    found.ReferencedSeriesSequence = [series]
    graphic.GraphicAnnotationUnits, graphic.GraphicDimensions = units, 2
    graphic.NumberOfGraphicPoints, graphic.GraphicData, graphic.GraphicType = len(data) // 2, data, kind
    annotation.GraphicLayer, annotation.GraphicObjectSequence = "MARKS", [graphic]
    found.GraphicAnnotationSequence = [annotation]
    return _with_meta(found)


def report(
    data: list[float], *, uid: str = f"{ROOT}.3", frames: list[int] | None = None, kind: str = "CIRCLE"
) -> Dataset:
    """A structured report with one SCOORD that is selected from an image, two containers deep."""
    found, outer, inner, coordinates, selected = (Dataset() for _ in range(5))
    found.SOPClassUID, found.SOPInstanceUID, found.ValueType = REPORT, f"{ROOT}.5", "CONTAINER"
    outer.ValueType = inner.ValueType = "CONTAINER"
    coordinates.ValueType, coordinates.GraphicType, coordinates.GraphicData = "SCOORD", kind, data
    selected.ValueType, selected.RelationshipType = "IMAGE", "SELECTED FROM"
    selected.ReferencedSOPSequence = [_reference(uid, frames)]
    coordinates.ContentSequence, inner.ContentSequence = [selected], [coordinates]
    outer.ContentSequence, found.ContentSequence = [inner], [outer]
    return _with_meta(found)


def _with_meta(dataset: Dataset) -> Dataset:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset
