"""The answer as a structured report: Comprehensive 3D SR, template TID 1500 (PS3.16).

The report is complete, preliminary and unverified (PS3.3 C.17.2). Numbers and codes stand in one measurement group
(TID 1501) with the algorithm (TID 4019) and the source image. A refusal gives such a report without numbers.
Codes that DICOM does not define have the scheme ``99EDGEPREDICT``; docs/reference/dicom-results.md lists them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.decision.verdict import Reason
from edge_runtime.dicom.answer import DicomAnswer
from edge_runtime.dicom.header import (
    PURPOSE,
    ModelFacts,
    ResultPlace,
    number_of,
    result_of,
    source_item,
    source_uids,
)
from edge_runtime.dicom.own_results import COMPREHENSIVE_3D_SR, MANUFACTURER
from edge_runtime.dicom.uids import Kind, derived_uid
from edge_runtime.inference.prediction import Prediction, now

if TYPE_CHECKING:
    from highdicom import sr
    from highdicom.sr import CodedConcept, Measurement, MeasurementsAndQualitativeEvaluations, QualitativeEvaluation
    from pydicom import Dataset

SCHEME = "99EDGEPREDICT"
SERIES_NUMBER = 9901
NO_ANSWER = "NO_ANSWER"
"""The decision in the report of a refusal."""

_NO_UNIT = ("1", "UCUM", "no units")
_PROCEDURE = ("363679005", "SCT", "Imaging procedure")
_COMMENT = ("121106", "DCM", "Comment")
_NAMES = {
    "DECISION": "Decision",
    "REASON": "Reason of the decision",
    "SITE": "Calibration of the cut-off at this site",
    "STATUS": "Status of the result",
    "SCORE": "Positive score",
    "CUTOFF": "Cut-off of the positive score",
    "CONFIDENCE": "Confidence",
    "CONFIDENCE_FLOOR": "Confidence floor",
    "FAMILIARITY": "Familiarity distance; above 1 is referred",
}


def identity(source: Dataset, answer: DicomAnswer, model: ModelFacts) -> tuple[str, ...]:
    """Return what a result's UID depends on: source, frame, model, region or refusal, and site policy."""
    frame = "" if answer.source.frame is None else str(answer.source.frame)
    if answer.frames > 1:
        frame = FrameChoice.ALL.value
    outcome = "" if answer.region is None else str(answer.region)
    if answer.failure is not None:
        outcome = f"refused:{answer.failure.code}"
    site = () if model.site_policy is None else (model.site_policy.sha256,)
    return source_uids(source)[1], frame, model.name, model.version, model.contract, outcome, *site


def report_of(source: Dataset, answer: DicomAnswer, model: ModelFacts) -> Dataset:
    """Return the report on one image.

    Args:
        source: the image's dataset; patient and study are taken from it.
        answer: the answer to it: a prediction, or a refusal.
        model: the model that answered.

    Raises:
        DicomError: the source lacks a UID that the report has to refer to.
    """
    who = identity(source, answer, model)
    series = (source_uids(source)[3], model.name, model.version, model.contract)
    place = ResultPlace(
        COMPREHENSIVE_3D_SR,
        derived_uid(Kind.REPORT, who),
        derived_uid(Kind.REPORT_SERIES, series),
        SERIES_NUMBER,
        number_of(source),
        "SR",
        f"{model.name} {model.version}, {model.marks}",
    )
    made = now() if answer.prediction is None else answer.prediction.time
    report = result_of(source, place, model, local_time(made))
    _add_general(report, source)
    (content,) = _content(source, answer, model, who)
    for element in content:
        report.add(element)
    return report


def _add_general(report: Dataset, source: Dataset) -> None:
    """Add the modules SR Document Series (PS3.3 C.17.1) and SR Document General (C.17.2)."""
    from pydicom import Dataset

    sop_class, sop_instance, study, series = source_uids(source)
    report.ReferencedPerformedProcedureStepSequence = []
    report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    report.PerformedProcedureCodeSequence = []
    instance, in_series, evidence = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = sop_class, sop_instance
    in_series.SeriesInstanceUID, in_series.ReferencedSOPSequence = series, [instance]
    evidence.StudyInstanceUID, evidence.ReferencedSeriesSequence = study, [in_series]
    report.CurrentRequestedProcedureEvidenceSequence = [evidence]
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = SCHEME, "edge-predict"
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    report.CodingSchemeIdentificationSequence = [scheme]


def _content(source: Dataset, answer: DicomAnswer, model: ModelFacts, who: tuple[str, ...]) -> sr.MeasurementReport:
    from highdicom import sr

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid(Kind.DEVICE, (model.bundle,)),
        name="edge-predict",
        manufacturer_name=MANUFACTURER,
        model_name=model.name,
        serial_number=model.bundle[:16],
    )
    observer = sr.ObserverContext(_code("121007", "DCM", "Device"), device)
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=_code(*_PROCEDURE),
        imaging_measurements=[_group(source, answer, model, who)],
    )


def _group(
    source: Dataset, answer: DicomAnswer, model: ModelFacts, who: tuple[str, ...]
) -> MeasurementsAndQualitativeEvaluations:
    from highdicom import sr

    frame, prediction = answer.source.frame, answer.prediction
    item = source_item(source, frame)
    image = sr.SourceImageForMeasurementGroup(
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, None if frame is None else [frame]
    )
    parameters = [f"contract {model.contract}", f"bundle {model.bundle}"]
    if model.site_policy is not None:
        parameters.append(f"site policy {model.site_policy} {model.site_policy.sha256}")
    if prediction is not None:
        parameters.append(f"file {prediction.precision} on {prediction.backend}")
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(derived_uid(Kind.TRACKING, who), f"{model.name} {model.version}"),
        algorithm_id=sr.AlgorithmIdentification(model.name, model.version, parameters, manufacturer=MANUFACTURER),
        measurements=None if prediction is None else _measurements(prediction),
        qualitative_evaluations=_evaluations(answer),
        source_images=[image],
    )
    for text in _comments(answer, model):
        comment = sr.TextContentItem(_code(*_COMMENT), text, sr.RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(comment)
    return group


def _measurements(prediction: Prediction) -> list[Measurement]:
    """Return the numbers; no score for an image unlike the training images: it has no meaning then."""
    verdict = prediction.verdict
    found: dict[str, float] = {"CUTOFF": prediction.cutoff, "CONFIDENCE_FLOOR": prediction.confidence_floor}
    if verdict.reason is not Reason.UNFAMILIAR_INPUT:
        found = {"SCORE": verdict.score, **found, "CONFIDENCE": verdict.confidence}
    if prediction.familiarity is not None:
        found["FAMILIARITY"] = prediction.familiarity
    return [_number(_own(code), value) for code, value in found.items()]


def _number(name: CodedConcept, value: float) -> Measurement:
    from highdicom import sr

    return sr.Measurement(name, value, _code(*_NO_UNIT))


def _evaluations(answer: DicomAnswer) -> list[QualitativeEvaluation]:
    from highdicom import sr

    found = {"STATUS": "PRELIMINARY"}
    if answer.failure is not None:
        found |= {"DECISION": NO_ANSWER, "REASON": answer.failure.code.upper()}
    if answer.prediction is not None:
        verdict = answer.prediction.verdict
        found |= {"DECISION": verdict.decision.value, "REASON": verdict.reason.value}
        found |= {"SITE": answer.prediction.site.value.upper()}
    return [sr.QualitativeEvaluation(_own(name), _code(value, SCHEME, value)) for name, value in found.items()]


def _comments(answer: DicomAnswer, model: ModelFacts) -> list[str]:
    """Return the sentences for people, in ASCII."""
    lines = [PURPOSE]
    if answer.failure is not None:
        lines.append(f"No answer. {answer.failure.code}: {answer.failure.message}")
    if answer.prediction is not None:
        lines += _about(answer.prediction)
    if answer.region is not None:
        lines.append(f"Region in stored pixels, x and y of the centre and radius: {answer.region}.")
    if answer.frames > 1:
        lines.append(f"{answer.frames} frames were classified as one case.")
    if answer.text:
        lines.append(
            "Text stands inside the classified region. It was permitted because Burned In Annotation is NO. "
            "Captions changed up to 3 of 100 decisions in tests."
        )
    if model.research_only:
        lines.append("Research only: the licence of the training images allows no other use.")
    return [line.encode("ascii", "replace").decode("ascii") for line in lines]


def _about(prediction: Prediction) -> list[str]:
    verdict = prediction.verdict
    unfamiliar = "Refer: the image is unlike the training images. Label and score have no meaning and are left out."
    lines = [unfamiliar if verdict.reason is Reason.UNFAMILIAR_INPUT else f"Label: {verdict.label}."]
    if prediction.site_policy is None:
        lines.append("Site: uncalibrated. The cut-off was not chosen on images of this site.")
    else:
        policy = prediction.site_policy
        lines.append(f"Site: calibrated by site policy {policy}, SHA-256 {policy.sha256}.")
    return lines


def local_time(time: str) -> datetime:
    """Return local time, as DICOM has it where no time zone is given."""
    return datetime.fromisoformat(time.replace("Z", "+00:00")).astimezone()


def _code(value: str, scheme: str, meaning: str) -> CodedConcept:
    from highdicom import sr

    return sr.CodedConcept(value, scheme, meaning[:64])


def _own(name: str) -> CodedConcept:
    return _code(name, SCHEME, _NAMES[name])
