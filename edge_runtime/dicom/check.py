"""What would be done with an object, by which model, and why. Nothing of a patient is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.bundle.dicom_input import Voi
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom.dataset import number, silent, text, value
from edge_runtime.dicom.layout import is_lossy, layout_of
from edge_runtime.dicom.levels import is_inverted, voi_of
from edge_runtime.dicom.objects import class_name
from edge_runtime.dicom.pixels import DicomImage, image_of
from edge_runtime.errors import EdgeError, ImageError
from edge_runtime.images.formats.acceptance import check_size

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Outcome:
    """What one model would do.

    Attributes:
        model: its name.
        code: the refusal's code; None if it would classify the object.
        why: the refusal's text, or what would be classified.
    """

    model: str
    code: str | None
    why: str


def facts(dataset: Dataset, name: str) -> tuple[tuple[str, str], ...]:
    """Return what decides about an object: title and words, without any text of the data set."""
    with silent(name):
        told = [("object", class_name(text(dataset, "SOPClassUID")))]
    try:
        layout = layout_of(dataset, name)
        frames = f", {layout.frames} frames" if layout.frames > 1 else ""
        told += [
            ("pixels", f"{layout.columns}x{layout.rows}{frames}, {layout.photometric.value}, {layout.stored} bits"),
            ("syntax", f"{layout.syntax.name}{', with loss' if is_lossy(dataset, layout, name) else ''}"),
        ]
        with silent(name):
            if layout.photometric.is_grey:
                told += [("window", _window(dataset, voi_of(dataset, layout, name)))]
                told += [("polarity", "lowest value white" if is_inverted(dataset, layout, name) else "as stored")]
            regions = value(dataset, "SequenceOfUltrasoundRegions")
            told += [("regions", f"{0 if regions is None else len(regions)} of ultrasound")]
            told += [("spacing", _spacing(dataset))]
    except ImageError as error:
        told.append(("refused", f"[{error.code}] {error.message}"))
    return tuple(told)


def _window(dataset: Dataset, voi: Voi) -> str:
    if voi in (Voi.NONE, Voi.LUT):
        return str(voi.value)
    centres = value(dataset, "WindowCenter")
    count = 1 if centres is None or isinstance(centres, str) or not hasattr(centres, "__len__") else len(centres)
    first = f"{voi.value}, centre {number(dataset, 'WindowCenter'):g}, width {number(dataset, 'WindowWidth'):g}"
    return first if count == 1 else f"{first}: the first of {count}"


def _spacing(dataset: Dataset) -> str:
    for keyword, words in (("PixelSpacing", "of the patient"), ("ImagerPixelSpacing", "of the detector")):
        if value(dataset, keyword) is not None:
            return f"{number(dataset, keyword):g} mm {words}"
    return "none"


def outcome(dataset: Dataset, spec: ModelSpec, frame: int | None, name: str) -> Outcome:
    """Return what a model would do with an object: all steps but the network are tried."""
    try:
        return Outcome(spec.name, None, _told(image_of(dataset, spec, frame, name=name), spec))
    except EdgeError as error:
        return Outcome(spec.name, error.code, error.message)


def _told(image: DicomImage, spec: ModelSpec) -> str:
    place = image.placement
    check_size(place.image_width, place.image_height, spec.min_side_px, image.name)
    whole = (place.width, place.height) == (image.source.columns, image.source.rows)
    told = [f"classifies {'all' if whole else 'a part'} of it: {place.width}x{place.height} pixels"]
    if not whole:
        told.append(f"from column {place.left} and row {place.top}")
    if (place.image_width, place.image_height) != (place.width, place.height):
        told.append(f"scaled to {place.image_width}x{place.image_height}")
    if image.text:
        told.append("with text inside, which by Burned In Annotation NO identifies nobody")
    if spec.region is not None:
        told.append("a circle must mark the finding")
    return ", ".join(told)
