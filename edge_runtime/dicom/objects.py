"""Whether an object is of a kind that a model accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.dicom_input import DicomInput
from edge_runtime.bundle.spec import ModelSpec
from edge_runtime.dicom.dataset import silent, text
from edge_runtime.dicom.own_results import own_result
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.errors import DicomError

if TYPE_CHECKING:
    from pydicom import Dataset

_IMAGES = "1.2.840.10008.5.1.4.1.1."
FOR_PROCESSING = {
    f"{_IMAGES}1.1.1": "Digital X-Ray Image Storage - For Processing",
    f"{_IMAGES}1.2.1": "Digital Mammography X-Ray Image Storage - For Processing",
    f"{_IMAGES}1.3.1": "Digital Intra-Oral X-Ray Image Storage - For Processing",
}
DOCUMENTS = {
    f"{_IMAGES}104.1": "Encapsulated PDF",
    f"{_IMAGES}104.2": "Encapsulated CDA",
    f"{_IMAGES}104.3": "Encapsulated STL",
    f"{_IMAGES}104.4": "Encapsulated OBJ",
    f"{_IMAGES}104.5": "Encapsulated MTL",
}
SEGMENTATIONS = {
    f"{_IMAGES}66.4": "Segmentation",
    f"{_IMAGES}66.5": "Surface Segmentation",
    f"{_IMAGES}66.7": "Label Map Segmentation",
}
DIRECTORY = "1.2.840.10008.1.3.10"


def check_object(dataset: Dataset, spec: ModelSpec, name: str) -> DicomInput:
    """Return what the model accepts, if the object is of such a kind.

    Raises:
        DicomError: ``dicom_own_result``, ``dicom_document``, ``dicom_segmentation``, ``dicom_for_processing``,
            ``dicom_float_pixels``, ``dicom_no_pixels`` or ``dicom_not_accepted``.
    """
    with silent(name):
        uid, intent = text(dataset, "SOPClassUID"), text(dataset, "PresentationIntentType").upper()
        float_pixels = "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
        pixels, own = "PixelData" in dataset, own_result(dataset)
    if own is not None:
        raise refused(Refusal.OWN_RESULT, name, own, "the image that it belongs to. Name that object.")
    if uid in DOCUMENTS:
        expected = "an image. Name the image object of the study."
        raise refused(Refusal.DOCUMENT, name, DOCUMENTS[uid], expected)
    if uid in SEGMENTATIONS:
        expected = "the image that it belongs to. Name that object."
        raise refused(Refusal.SEGMENTATION, name, SEGMENTATIONS[uid], expected)
    if uid in FOR_PROCESSING or intent == "FOR PROCESSING":
        expected = "FOR PRESENTATION. Ask the modality or the archive for that object."
        raise refused(Refusal.FOR_PROCESSING, name, "an image FOR PROCESSING", expected)
    if float_pixels:
        expected = "whole numbers. Export the image as its modality shows it."
        raise refused(Refusal.FLOAT_PIXELS, name, "floating-point pixels", expected)
    if not pixels:
        raise refused(Refusal.NO_PIXELS, name, "an object without pixels", "an image. Name the image object.")
    if spec.dicom is None or not spec.dicom.accepts(uid):
        raise not_accepted(uid, spec, name)
    return spec.dicom


def not_accepted(uid: str, spec: ModelSpec, name: str) -> DicomError:
    """Return the error ``dicom_not_accepted`` for an object of a SOP class, with the models that accept it."""
    if spec.dicom is None:
        expected = f"an image file, as {spec.name} accepts no DICOM. {accepted_by(uid)}"
    else:
        kinds = ", ".join(each.name for each in spec.dicom.objects)
        expected = f"for {spec.name} one of: {kinds}. {accepted_by(uid)}"
    return refused(Refusal.NOT_ACCEPTED, name, class_name(uid), expected)


def class_name(uid: str) -> str:
    """Return the standard's name of a SOP class. Text that is no such UID is not repeated."""
    try:
        from pydicom.uid import UID_dictionary
    except ImportError:
        return "a DICOM object"
    return UID_dictionary[uid][0] if uid in UID_dictionary else "an object of an unknown kind"


def accepted_by(uid: str) -> str:
    """Return which of the installed and shipped models accept such an object, as a sentence."""
    from edge_runtime.bundle.registry.accepting import models_that_accept

    names = models_that_accept(uid)
    return f"Models that accept it: {', '.join(names)}." if names else "No installed model accepts such an object."
