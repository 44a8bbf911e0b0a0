"""The heatmap as a Secondary Capture image: RGB, in its source's rows and columns, drawn over the source's image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.decision.verdict import Reason
from edge_runtime.dicom.answer import DicomAnswer
from edge_runtime.dicom.header import (
    PURPOSE,
    ModelFacts,
    ResultPlace,
    copied,
    number_of,
    result_of,
    source_item,
    source_uids,
)
from edge_runtime.dicom.own_results import SECONDARY_CAPTURE
from edge_runtime.dicom.placement import Placement
from edge_runtime.dicom.report import identity, local_time
from edge_runtime.dicom.uids import Kind, derived_uid
from edge_runtime.explain import OPACITY
from edge_runtime.explain.drawing import WHITE, bgr, colours
from edge_runtime.explain.explanation import Explanation
from edge_runtime.images.reader import DecodedImage

if TYPE_CHECKING:
    from pydicom import Dataset

SERIES_NUMBER = 9902
MOST_PIXELS = 16_000_000
"""Largest heatmap. That of a larger source has its rows and columns divided by a whole number."""

MARK = "PRELIMINARY - NOT A DIAGNOSIS"
"""Drawn at the lower edge of every heatmap that is wide enough for it."""

RESEARCH_MARK = "PRELIMINARY - RESEARCH ONLY - NOT A DIAGNOSIS"
"""Drawn in its place if the licence of the training images allows research alone."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_ROWS = 256
_LEAST_SCALE, _SMALL_SCALE, _MOST_SCALE = 0.25, 0.4, 1.0
_COPIED = ("PixelSpacing", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def heatmap_of(source: Dataset, answer: DicomAnswer, model: ModelFacts) -> Dataset | None:
    """Return the heatmap as a dataset, ready to be saved; None if the answer has none.

    What lies outside the classified part of the stored pixels is black: the frame of a screen may name a patient.

    Args:
        source: the image's dataset; patient and study are taken from it.
        answer: the answer to it, with an explanation.
        model: the model that answered.

    Raises:
        DicomError: the source lacks a UID that the heatmap has to refer to.
    """
    if answer.explanation is None or answer.placement is None or answer.prediction is None:
        return None
    factor = _factor(answer)
    series = (source_uids(source)[3], model.name, model.version, model.contract)
    place = ResultPlace(
        SECONDARY_CAPTURE,
        derived_uid(Kind.HEATMAP, identity(source, answer, model)),
        derived_uid(Kind.HEATMAP_SERIES, series),
        SERIES_NUMBER,
        number_of(source),
        str(source.get("Modality", "") or "OT"),
        f"{model.name} {model.version}, heatmap, {model.marks}",
    )
    heatmap = result_of(source, place, model, local_time(answer.prediction.time))
    _add_image(heatmap, source, answer.explanation, answer.source.frame)
    _scale_spacing(heatmap, factor)
    _add_pixels(heatmap, _drawn(answer, answer.explanation, factor, model))
    return heatmap


def _factor(answer: DicomAnswer) -> int:
    """Return what the source's rows and columns are divided by."""
    return math.ceil(math.sqrt(answer.source.rows * answer.source.columns / MOST_PIXELS))


def _drawn(answer: DicomAnswer, explanation: Explanation, factor: int, model: ModelFacts) -> Pixels:
    assert answer.placement is not None
    size, place = (answer.source.rows // factor, answer.source.columns // factor), answer.placement.reduced(factor)
    shares = place.on_stored(explanation.on_picture(), *size)
    pixels = _stored_image(explanation, place, size)
    return drawn_over(pixels, shares, RESEARCH_MARK if model.research_only else MARK)


def _scale_spacing(heatmap: Dataset, factor: int) -> None:
    if "PixelSpacing" in heatmap and factor > 1:
        heatmap.PixelSpacing = [float(each) * factor for each in heatmap.PixelSpacing]


def _add_image(heatmap: Dataset, source: Dataset, explanation: Explanation, frame: int | None) -> None:
    """Add General Series (PS3.3 C.7.3.1), SC Equipment (C.8.6.1), General Image (C.7.6.1) and Image Reference."""
    from pydicom import Dataset

    heatmap.ConversionType = "WSD"
    heatmap.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    heatmap.AcquisitionDate = heatmap.AcquisitionTime = None
    side = copied(source, "ImageLaterality") or copied(source, "Laterality")
    heatmap.Laterality = str(side.value or "") if side is not None and side.value in ("L", "R") else ""
    orientation = copied(source, "PatientOrientation")
    heatmap.PatientOrientation = None if orientation is None else orientation.value
    for name in _COPIED:
        element = copied(source, name)
        if element is not None and element.value:
            heatmap.add(element)
    burned = copied(source, "BurnedInAnnotation")
    if burned is not None and burned.value in ("YES", "NO"):
        heatmap.BurnedInAnnotation = burned.value
    heatmap.DerivationDescription = f"{_what(explanation)} {PURPOSE}"
    heatmap.ImageComments = PURPOSE
    item = source_item(source, frame)
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item.PurposeOfReferenceCodeSequence = [purpose]
    heatmap.SourceImageSequence = [item]


def _what(explanation: Explanation) -> str:
    prediction = explanation.prediction
    verdict = prediction.verdict
    known = verdict.reason is not Reason.UNFAMILIAR_INPUT and explanation.label is not None
    of_label = f" for {explanation.label}" if known else ""
    return (
        f"Heatmap ({explanation.method.value}{of_label}) of {prediction.model} {prediction.version}: "
        f"{verdict.decision.value} ({verdict.reason.value})."
    )


def _add_pixels(heatmap: Dataset, pixels: Pixels) -> None:
    """Add the Image Pixel module (PS3.3 C.7.6.3): 8 bits, RGB, by pixel."""
    heatmap.SamplesPerPixel, heatmap.PhotometricInterpretation, heatmap.PlanarConfiguration = 3, "RGB", 0
    heatmap.Rows, heatmap.Columns = pixels.shape[:2]
    heatmap.BitsAllocated, heatmap.BitsStored, heatmap.HighBit, heatmap.PixelRepresentation = 8, 8, 7, 0
    content = pixels.tobytes()
    heatmap.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))


def _stored_image(explanation: Explanation, place: Placement, size: tuple[int, int]) -> Pixels:
    """Return the classified image at its place among ``size`` rows and columns, uint8 RGB, black around it."""
    image = rgb(explanation.picture)
    if image.shape[1::-1] != (place.width, place.height):
        image = np.asarray(cv2.resize(image, (place.width, place.height), interpolation=cv2.INTER_LINEAR), np.uint8)
    whole = np.zeros((*size, 3), np.uint8)
    whole[place.top : place.top + place.height, place.left : place.left + place.width] = image
    return whole


def rgb(image: DecodedImage) -> Pixels:
    """Return the image as uint8 H×W×3 RGB."""
    return np.ascontiguousarray(bgr(image)[..., ::-1])


def drawn_over(pixels: Pixels, shares: Floats, mark: str = MARK) -> Pixels:
    """Return the image with the heatmap and a mark over it.

    Args:
        pixels: uint8 H×W×3 RGB.
        shares: float32 H×W, 0..1; NaN where there is no value.
        mark: text at the lower edge.
    """
    drawn = np.empty_like(pixels)
    for row in range(0, len(pixels), _ROWS):  # maps of floats are four times as large as levels
        part, share = pixels[row : row + _ROWS], shares[row : row + _ROWS]
        colour = np.ascontiguousarray(colours(np.nan_to_num(share))[..., ::-1])
        mixed = cv2.addWeighted(part, 1 - OPACITY, colour, OPACITY, 0.0)
        drawn[row : row + _ROWS] = np.where(np.isnan(share)[..., np.newaxis], part, mixed)
    _write_mark(drawn, mark)
    return drawn


def _write_mark(pixels: Pixels, mark: str) -> None:
    """Write the mark in white on black at the lower edge, as large as the width allows."""
    height, width = pixels.shape[:2]
    at_one = cv2.getTextSize(mark, _FONT, 1.0, 1)[0][0]
    whole = 0.95 * width / at_one  # as wide as the image
    scale = min(max(0.6 * whole, min(whole, _SMALL_SCALE)), _MOST_SCALE)
    (text_width, text_height), base = cv2.getTextSize(mark, _FONT, scale, 1)
    top = height - text_height - base - 4
    if scale < _LEAST_SCALE or top < height // 2:
        return
    pixels[top:, : text_width + 8] = 0
    cv2.putText(pixels, mark, (4, height - base - 2), _FONT, scale, (WHITE,) * 3, 1, cv2.LINE_AA)
