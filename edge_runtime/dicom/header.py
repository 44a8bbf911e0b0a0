"""What a report and a heatmap take over from their source: patient, study, equipment and the reference to it."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from edge_runtime import __version__
from edge_runtime.bundle.policy import SitePolicyId
from edge_runtime.dicom.pixels import NAME
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.syntaxes import EXPLICIT_LITTLE

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

MANUFACTURER = "edge-predict"
"""Manufacturer (0008,0070) of every instance that this package makes; :func:`is_own_result` looks at it."""

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
PURPOSE = "PRELIMINARY result of decision support, not a diagnosis and not a medical device."

_IMPLEMENTATION = "2.25.329800735698586629295641978511506172918"
_STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."

# PS3.3 C.7.1.1 and C.7.2.1: type 2, empty where the source lacks it
_REQUIRED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
)
_OPTIONAL = (
    *("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence", "PatientAge"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("StudyDescription", "IssuerOfAccessionNumberSequence", "TimezoneOffsetFromUTC"),
)
_REFERENCE = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


@dataclass(frozen=True)
class ModelFacts:
    """What a result says of the model.

    Attributes:
        name, version: as in the spec.
        contract: SHA-256 of preprocessing and accepted objects.
        bundle: SHA-256 of the bundle.
        research_only: the licence of the training images allows research alone.
        site_policy: the site policy in force; None without one.
    """

    name: str
    version: str
    contract: str
    bundle: str
    research_only: bool = False
    site_policy: SitePolicyId | None = None

    @property
    def marks(self) -> str:
        """What the description of each series of results says besides the model."""
        return "PRELIMINARY, research only" if self.research_only else "PRELIMINARY, not a diagnosis"


@dataclass(frozen=True)
class ResultPlace:
    """Where a result stands: its UIDs and numbers.

    Attributes:
        sop_class, sop_instance, series: UIDs.
        series_number, instance_number: numbers for people.
        modality: modality of the series.
        description: description of the series.
    """

    sop_class: str
    sop_instance: str
    series: str
    series_number: int
    instance_number: int
    modality: str
    description: str


def is_structured_report(sop_class: str) -> bool:
    """Return whether a SOP class is one of structured reports."""
    return sop_class.startswith(_STRUCTURED_REPORTS)


def is_own_result(dataset: Dataset) -> bool:
    """Return whether an instance is a report or a heatmap that this package made."""
    known = str(dataset.get("SOPClassUID", "")) in (SECONDARY_CAPTURE, COMPREHENSIVE_3D_SR)
    return known and str(dataset.get("Manufacturer", "")).strip() == MANUFACTURER


def source_uids(source: Dataset) -> tuple[str, str, str, str]:
    """Return the UIDs of SOP class, instance, study and series of the source.

    Raises:
        DicomError: one is missing; a report could not refer to the source.
    """
    found = tuple(str(source.get(name, "") or "") for name in _REFERENCE)
    if not all(found):
        missing = ", ".join(name for name, uid in zip(_REFERENCE, found, strict=True) if not uid)
        expected = "the UIDs of a stored instance. Store the object in an archive first."
        raise refused(Refusal.WITHOUT_UIDS, NAME, f"no {missing}", expected)
    return found[0], found[1], found[2], found[3]


def copied(source: Dataset, name: str) -> DataElement | None:
    """Return a copy of an element of the source; None if it is absent or its value cannot be read."""
    with suppress(Exception):  # pydicom converts values late, and fails in many ways on wrong ones
        if name in source:
            return deepcopy(source[name])
    return None


def result_of(source: Dataset, place: ResultPlace, model: ModelFacts, made: datetime) -> Dataset:
    """Return a dataset with the modules that report and heatmap share, ready to be saved.

    Patient (PS3.3 C.7.1.1), General Study (C.7.2.1), General Equipment (C.7.5.1) and SOP Common (C.12.1).
    """
    from pydicom.dataset import Dataset, FileMetaDataset

    study = source_uids(source)[2]
    made_dataset = Dataset()
    for name in ("SpecificCharacterSet", *_REQUIRED, *_OPTIONAL):
        element = copied(source, name)
        if element is not None:
            made_dataset.add(element)
        elif name in _REQUIRED:
            setattr(made_dataset, name, None)
    made_dataset.SOPClassUID, made_dataset.SOPInstanceUID = place.sop_class, place.sop_instance
    made_dataset.StudyInstanceUID, made_dataset.SeriesInstanceUID = study, place.series
    made_dataset.Modality, made_dataset.SeriesDescription = place.modality, place.description[:64]
    made_dataset.SeriesNumber, made_dataset.InstanceNumber = place.series_number, place.instance_number
    made_dataset.Manufacturer, made_dataset.ManufacturerModelName = MANUFACTURER, model.name
    made_dataset.SoftwareVersions = [f"edge-predict {__version__}", f"model {model.version}"]
    made_dataset.DeviceSerialNumber = model.bundle[:16]
    made = _in_zone(made, made_dataset)
    made_dataset.InstanceCreationDate = made_dataset.ContentDate = made.strftime("%Y%m%d")
    made_dataset.InstanceCreationTime = made_dataset.ContentTime = made.strftime("%H%M%S.%f")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = place.sop_class, place.sop_instance
    meta.TransferSyntaxUID = EXPLICIT_LITTLE
    meta.ImplementationClassUID, meta.ImplementationVersionName = _IMPLEMENTATION, "EDGE_PREDICT"
    made_dataset.file_meta = meta
    return made_dataset


def _in_zone(made: datetime, dataset: Dataset) -> datetime:
    """Return the time in the zone that the dataset states for all its times (PS3.3 C.12.1.1.8), else in local time."""
    with suppress(ValueError, TypeError, AttributeError):
        return made.astimezone(datetime.strptime(str(dataset.TimezoneOffsetFromUTC), "%z").tzinfo)
    dataset.pop("TimezoneOffsetFromUTC", None)
    return made.astimezone()


def source_item(source: Dataset, frame: int | None) -> Dataset:
    """Return the item that refers to the source (PS3.3, tables 10-11 and 10-3); frames count from 1."""
    from pydicom import Dataset

    sop_class, sop_instance, _, _ = source_uids(source)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item


def number_of(source: Dataset) -> int:
    """Return the source's instance number; 1 where it has none."""
    element = copied(source, "InstanceNumber")
    with suppress(TypeError, ValueError, AttributeError):
        return max(int(str(element.value)), 0) if element is not None else 1
    return 1
