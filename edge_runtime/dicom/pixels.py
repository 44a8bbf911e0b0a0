"""From a DICOM object to the image that a model takes, or a refusal with its reason.

The order is that of the standard's grey-scale pipeline: modality LUT, VOI, 8 bits, polarity (PS3.4 N.2). Then an
ultrasound frame is cropped to its region, and an image is brought to the pixel spacing of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.dicom_input import DicomCrop, DicomInput
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom.burnt_in import has_text
from edge_runtime.dicom.colour import rgb_levels
from edge_runtime.dicom.dataset import number, silent, text
from edge_runtime.dicom.decoding import frame_of
from edge_runtime.dicom.layout import PixelLayout, is_lossy, layout_of
from edge_runtime.dicom.levels import grey_levels
from edge_runtime.dicom.marks import marked_regions, one_region
from edge_runtime.dicom.objects import check_object
from edge_runtime.dicom.placement import Placement
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.source import SourceReference
from edge_runtime.dicom.spacing import at_spacing, check_square, spacing_of
from edge_runtime.dicom.ultrasound import UltrasoundRegion, has_flow, not_tissue, region_of_tissue
from edge_runtime.errors import DicomError, EdgeError
from edge_runtime.images.colour import ColourOrder
from edge_runtime.images.reader import DecodedImage
from edge_runtime.images.region import Region
from edge_runtime.inference.prediction import BurntInText, Prediction
from edge_runtime.platform.machine_faults import raise_machine_fault

if TYPE_CHECKING:
    from pydicom import Dataset

Levels = npt.NDArray[np.uint8]

NAME = "DICOM object"
"""Name of an object where no other is given. A name from the data set could be a patient's."""


@dataclass(frozen=True, eq=False)
class DicomImage:
    """The image of one frame, as the model takes it.

    Attributes:
        name: name in predictions and errors.
        pixels: uint8 H×W, 0 black, 255 white; or H×W×3 RGB.
        placement: where it lies in the stored pixels.
        source: identity of the object; ``source.frame`` is the frame.
        sha256: SHA-256 of the file's bytes; None if only a data set was given.
        text: whether text stands inside the ultrasound region, of which the object says that it identifies nobody.
    """

    name: str
    pixels: Levels
    placement: Placement
    source: SourceReference
    sha256: str | None = None
    text: bool = False

    def decoded(self) -> DecodedImage:
        """Return the image as the rest of the package takes it."""
        order = ColourOrder.GREY if self.pixels.ndim == 2 else ColourOrder.RGB
        return DecodedImage(self.name, self.pixels, order, self.sha256)

    def inside(self, region: Region | None) -> Region | None:
        """Return a region of the stored pixels in pixels of this image."""
        return None if region is None else self.placement.to_image(region)

    def told(self, prediction: Prediction, region: Region | None) -> Prediction:
        """Return a prediction that says what is known of the object: region in stored pixels, and text inside."""
        burnt = BurntInText.PERMITTED if self.text else None
        return replace(prediction, region=region, burnt_in_text=burnt) if region or burnt else prediction


def image_of(
    dataset: Dataset, spec: ModelSpec, frame: int | None = None, *, name: str = NAME, sha256: str | None = None
) -> DicomImage:
    """Return the image of one frame.

    Args:
        dataset: the object.
        spec: the model's spec, which says what is accepted.
        frame: frame number from 1; None for an object of one frame.
        name: name in errors.
        sha256: SHA-256 of the file's bytes.

    Raises:
        DicomError: the object is refused; the code is one of :class:`edge_runtime.dicom.refusals.Refusal`.
        MachineError: too little memory.
    """
    try:
        accepted = check_object(dataset, spec, name)
        layout = layout_of(dataset, name)
        if layout.photometric not in accepted.photometric:
            expected = " or ".join(each.value for each in accepted.photometric)
            raise refused(Refusal.PHOTOMETRIC, name, layout.photometric.value, f"{expected}. Use another image.")
        if is_lossy(dataset, layout, name) and not accepted.lossy:
            expected = "lossless ones. Ask the archive for the original."
            raise refused(Refusal.LOSSY, name, "pixels that were compressed with loss", expected)
        index = _frame_index(layout, frame, accepted, name)
        burnt = _burned_in(dataset, name)
        region = _region(dataset, layout, accepted, burnt, name)
        region_mm = None if region is None else region.spacing_mm
        check_square(dataset, region_mm, name)
        spacing = None
        if accepted.spacing_mm is not None:
            spacing = spacing_of(dataset, region_mm, name)
        pixels = _levels(dataset, layout, accepted, index, name)
        pixels, placement = _cropped(pixels, region)
        if region is not None and has_flow(pixels):
            raise not_tissue(name, "colours in the ultrasound region")
        has_captions = region is not None and has_text(pixels)
        if has_captions and burnt != "NO":
            expected = "tissue alone, or Burned In Annotation NO. Store the image without captions."
            raise refused(Refusal.BURNT_IN, name, "text inside the ultrasound region", expected)
        if spacing is not None and accepted.spacing_mm is not None:
            pixels = at_spacing(pixels, spacing, accepted.spacing_mm, name)
            placement = replace(placement, image_width=pixels.shape[1], image_height=pixels.shape[0])
    except EdgeError:
        raise
    except Exception as error:
        raise_machine_fault(error, name)
        raise
    return DicomImage(name, pixels, placement, source_of(dataset, frame), sha256, has_captions)


def source_of(dataset: Dataset, frame: int | None = None) -> SourceReference:
    """Return identity and size of an object. What cannot be read is empty or 0."""
    return SourceReference(
        _text_or_empty(dataset, "StudyInstanceUID"),
        _text_or_empty(dataset, "SeriesInstanceUID"),
        _text_or_empty(dataset, "SOPInstanceUID"),
        _text_or_empty(dataset, "SOPClassUID"),
        _whole_or_zero(dataset, "Rows"),
        _whole_or_zero(dataset, "Columns"),
        _whole_or_zero(dataset, "NumberOfFrames") or 1,
        frame,
    )


def _text_or_empty(dataset: Dataset, keyword: str) -> str:
    try:
        with silent(NAME):
            return text(dataset, keyword)
    except DicomError:
        return ""


def _whole_or_zero(dataset: Dataset, keyword: str) -> int:
    try:
        with silent(NAME):
            return max(int(number(dataset, keyword) or 0), 0)
    except DicomError:
        return 0


def region_of(
    dataset: Dataset, spec: ModelSpec, region: Region | None, marks: Sequence[Dataset], frame: int | None, name: str
) -> Region | None:
    """Return the region to classify, in stored pixels: the given one, or the one that the marks show.

    Raises:
        DicomError: ``dicom_mark_missing``, ``dicom_marks_several`` or ``dicom_mark_kind``; a model of whole images
            ignores marks.
    """
    if spec.region is None or region is not None:
        return region
    with silent(name):
        uid = text(dataset, "SOPInstanceUID")
    return one_region(marked_regions(marks, uid, frame, name), name)


def _frame_index(layout: PixelLayout, frame: int | None, accepted: DicomInput, name: str) -> int:
    if frame is None:
        if layout.frames > 1:
            expected = f"one, or a chosen one: --frame 1 to {layout.frames}."
            raise refused(Refusal.FRAMES, name, f"{layout.frames} frames", expected)
        return 0
    if not 1 <= frame <= layout.frames:
        raise refused(Refusal.FRAME_UNKNOWN, name, f"no frame {frame}", f"1 to {layout.frames}. Choose one of them.")
    return frame - 1


def _burned_in(dataset: Dataset, name: str) -> str:
    with silent(name):
        return text(dataset, "BurnedInAnnotation").upper()


def _region(
    dataset: Dataset, layout: PixelLayout, accepted: DicomInput, burnt: str, name: str
) -> UltrasoundRegion | None:
    if accepted.crop is DicomCrop.ULTRASOUND_REGION:
        return region_of_tissue(dataset, layout, name)
    if burnt == "YES":
        expected = "an image without text. Use the original of the modality."
        raise refused(Refusal.BURNT_IN, name, "Burned In Annotation YES", expected)
    return None


def _levels(dataset: Dataset, layout: PixelLayout, accepted: DicomInput, index: int, name: str) -> Levels:
    pixels, after = frame_of(dataset, layout, index, name)
    if after.is_grey:
        return grey_levels(pixels, dataset, layout, accepted.voi, name)
    return rgb_levels(pixels, after, dataset, layout, name)


def _cropped(pixels: Levels, region: UltrasoundRegion | None) -> tuple[Levels, Placement]:
    height, width = pixels.shape[:2]
    if region is None:
        return pixels, Placement(0, 0, width, height, width, height)
    cut = np.ascontiguousarray(pixels[region.top : region.bottom, region.left : region.right])
    height, width = cut.shape[:2]
    return cut, Placement(region.left, region.top, width, height, width, height)
