"""Reports and heatmaps say what the prediction says, refer to their source, and have the UIDs that follow from it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from edge_runtime import Predictor
from edge_runtime.archive.table import line_of_row, row_of
from edge_runtime.bundle.bundle import find
from edge_runtime.decision.verdict import Decision, Reason, Verdict
from edge_runtime.dicom.answer import DicomAnswer, DicomFailure, answer
from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.header import ModelFacts
from edge_runtime.dicom.heatmap import heatmap_of
from edge_runtime.dicom.own_results import MANUFACTURER, own_result
from edge_runtime.dicom.pixels import source_of
from edge_runtime.dicom.report import NO_ANSWER, SCHEME, report_of
from edge_runtime.dicom.results import facts_of, results_of
from edge_runtime.errors import DicomError
from edge_runtime.images.region import Region
from edge_runtime.inference.prediction import BurntInText
from edge_runtime.results.lines import to_line
from edge_runtime.results.record import LineKind, from_line
from tests.dicom_sources import encoded, ultrasound
from tests.site_policies import site_policy

SIZE = (120, 160)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = pytest.importorskip("tests.dicom_bundle", reason="the package onnx is not installed")
    path: Path = made.write_dicom_bundle(tmp_path_factory.mktemp("dicom"))
    return path


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> Iterator[Predictor]:
    with Predictor.load(str(bundle)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def facts(bundle: Path) -> ModelFacts:
    opened = find(bundle)
    return facts_of(opened.manifest, opened.digest)


@pytest.fixture(scope="module")
def found(predictor: Predictor) -> DicomAnswer:
    return answer(predictor, ultrasound(1, SIZE), explain=True)


def items(dataset: Dataset) -> dict[str, str]:
    """Return code or name → value of all content items, nested ones included."""
    told: dict[str, str] = {}
    for item in dataset.get("ContentSequence", []):
        name = item.ConceptNameCodeSequence[0] if "ConceptNameCodeSequence" in item else None
        key = "" if name is None else str(name.get("CodeValue") or name.get("LongCodeValue"))
        if item.ValueType == "NUM":
            told[key] = str(item.MeasuredValueSequence[0].NumericValue)
        elif item.ValueType == "CODE":
            value = item.ConceptCodeSequence[0]
            told[key] = str(value.get("CodeValue") or value.get("LongCodeValue"))
        elif item.ValueType == "TEXT":
            told[key] = f"{told.get(key, '')}{item.TextValue}\n"
        told |= items(item)
    return told


def test_a_prediction_in_a_report(found: DicomAnswer, facts: ModelFacts) -> None:
    verdict = Verdict("malignant", {"benign": 0.1, "malignant": 0.9}, 0.9, 0.9, Decision.POSITIVE, Reason.ABOVE_CUTOFF)
    assert found.prediction is not None
    known = replace(found, prediction=replace(found.prediction, verdict=verdict, familiarity=0.25))
    told = items(report_of(ultrasound(1, SIZE), known, facts))
    assert (told["DECISION"], told["REASON"], told["STATUS"]) == ("POSITIVE", "ABOVE_CUTOFF", "PRELIMINARY")
    assert (told["SCORE"], told["FAMILIARITY"]) == ("0.9", "0.25")
    assert float(told["CUTOFF"]) == found.prediction.cutoff
    assert told["SITE"] == "UNCALIBRATED"
    assert "not a diagnosis" in told["121106"] and "Label: malignant" in told["121106"]
    assert f"contract {facts.contract}" in told["111002"]
    assert "Research only" not in told["121106"]


def test_permitted_text_is_told_in_report_line_and_archive(found: DicomAnswer, facts: ModelFacts) -> None:
    told = items(report_of(ultrasound(1, SIZE), replace(found, text=True), facts))
    assert "permitted because Burned In Annotation is NO" in told["121106"]
    assert (
        found.prediction is not None
        and "Burned In" not in items(report_of(ultrasound(1, SIZE), found, facts))["121106"]
    )
    prediction = replace(found.prediction, burnt_in_text=BurntInText.PERMITTED, sha256="a" * 64)
    line = to_line(prediction)
    assert json.loads(line)["burnt_in_text"] == "PERMITTED"
    assert from_line(line.encode()).kind is LineKind.ANSWER
    assert line_of_row(row_of(0, prediction)) == line


def test_a_site_policy_in_a_report(bundle: Path, found: DicomAnswer, facts: ModelFacts, tmp_path: Path) -> None:
    """The report names it, and is another instance than that of the model's own thresholds."""
    policy = site_policy(bundle, tmp_path)
    opened, source = find(bundle), ultrasound(1, SIZE)
    with Predictor.load(str(bundle), site_policy=policy.path) as calibrated:
        answered = answer(calibrated, source)
        named = facts_of(opened.manifest, opened.digest, calibrated.site_policy)
    assert answered.prediction is not None
    report, plain = report_of(source, answered, named), report_of(source, found, facts)
    told = items(report)
    assert told["SITE"] == "CALIBRATED" and float(told["CUTOFF"]) == 0.93
    assert f"Site: calibrated by site policy ward 1, SHA-256 {policy.sha256}." in told["121106"]
    assert f"site policy ward 1 {policy.sha256}" in told["111002"]
    assert report.SOPInstanceUID != plain.SOPInstanceUID
    assert report.SeriesInstanceUID == plain.SeriesInstanceUID


def test_an_unfamiliar_image_has_no_score_and_no_label(found: DicomAnswer, facts: ModelFacts) -> None:
    assert found.prediction is not None
    assert found.prediction.verdict.reason is Reason.UNFAMILIAR_INPUT
    told = items(report_of(ultrasound(1, SIZE), found, facts))
    assert told["DECISION"] == "REFER"
    assert not told.keys() & {"SCORE", "CONFIDENCE"}
    assert found.prediction.verdict.label not in str(told)


def test_research_only_is_said_everywhere(found: DicomAnswer, facts: ModelFacts) -> None:
    only = replace(facts, research_only=True)
    found = replace(found, source=replace(found.source, rows=300, columns=400))
    report, heatmap = report_of(ultrasound(1, SIZE), found, only), heatmap_of(ultrasound(1, SIZE), found, only)
    assert "Research only" in items(report)["121106"]
    assert heatmap is not None
    assert all("research only" in each.SeriesDescription for each in (report, heatmap))
    plain = heatmap_of(ultrasound(1, SIZE), found, facts)
    assert plain is not None and plain.PixelData != heatmap.PixelData


def test_a_refusal_in_a_report(facts: ModelFacts) -> None:
    source = ultrasound(1, SIZE)
    refused = DicomAnswer(source_of(source), failure=DicomFailure("dicom_for_processing", "found FOR PROCESSING."))
    told = items(report_of(source, refused, facts))
    assert (told["DECISION"], told["REASON"]) == (NO_ANSWER, "DICOM_FOR_PROCESSING")
    assert "found FOR PROCESSING." in told["121106"]
    assert heatmap_of(source, refused, facts) is None


def test_uids_follow_from_source_model_and_outcome(found: DicomAnswer, facts: ModelFacts) -> None:
    def uids(source: Dataset, given: DicomAnswer = found, model: ModelFacts = facts) -> tuple[str, str]:
        report = report_of(source, given, model)
        return str(report.SOPInstanceUID), str(report.SeriesInstanceUID)

    source, other = ultrasound(1, SIZE), ultrasound(2, SIZE)
    assert uids(source) == uids(ultrasound(1, SIZE))
    assert uids(source)[0] != uids(other)[0] and uids(source)[1] == uids(other)[1]
    for model in (replace(facts, version="9.0.0"), replace(facts, contract="0" * 64), replace(facts, name="other")):
        assert not set(uids(source)) & set(uids(source, model=model))
    assert uids(source, model=replace(facts, bundle="f" * 64)) == uids(source)
    for given in (
        replace(found, region=Region(1, 2, 3)),
        replace(found, source=replace(found.source, frame=2)),
        replace(found, prediction=None, failure=DicomFailure("dicom_lossy", "")),
    ):
        assert uids(source, given)[0] != uids(source)[0]
    heatmap = heatmap_of(source, found, facts)
    assert heatmap is not None
    assert {str(heatmap.SOPInstanceUID), str(heatmap.SeriesInstanceUID)}.isdisjoint(uids(source))


def test_patient_and_study_are_those_of_the_source_and_gaps_stay_gaps(found: DicomAnswer, facts: ModelFacts) -> None:
    source = ultrasound(1, SIZE)
    report = report_of(source, found, facts)
    for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber"):
        assert report[name].value == source[name].value
    assert "InstitutionName" not in report and "OperatorsName" not in report
    del source.PatientID, source.AccessionNumber
    gaps = report_of(source, found, facts)
    assert not gaps.PatientID and not gaps.AccessionNumber


@pytest.mark.parametrize("name", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_an_object_that_a_report_cannot_refer_to_gets_none(name: str, found: DicomAnswer, facts: ModelFacts) -> None:
    source = ultrasound(1, SIZE)
    delattr(source, name)
    with pytest.raises(DicomError, match=name) as told:
        report_of(source, found, facts)
    assert told.value.code == "dicom_without_uids"


def test_time_follows_the_zone_of_the_source(found: DicomAnswer, facts: ModelFacts) -> None:
    assert found.prediction is not None
    given = replace(found, prediction=replace(found.prediction, time="2026-03-04T23:30:00.000Z"))
    source = ultrasound(1, SIZE)
    source.TimezoneOffsetFromUTC = "+0530"
    report = report_of(source, given, facts)
    assert (report.ContentDate, report.ContentTime[:6], report.TimezoneOffsetFromUTC) == ("20260305", "050000", "+0530")


def test_the_heatmap_leaves_out_what_lies_around_the_region(predictor: Predictor, facts: ModelFacts) -> None:
    """A screen's frame may name the patient."""
    source = ultrasound(1, SIZE)
    region = source.SequenceOfUltrasoundRegions[0]
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 40, 30
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 139, 99
    heatmap = heatmap_of(source, answer(predictor, source, explain=True), facts)
    assert heatmap is not None
    pixels = heatmap.pixel_array
    assert pixels.shape == (*SIZE, 3)
    assert not pixels[:30].any() and not pixels[:100, :40].any() and not pixels[:100, 140:].any()
    assert pixels[30:100, 40:140].any(axis=2).mean() > 0.99


def test_bytes_in_and_bytes_out(predictor: Predictor, facts: ModelFacts) -> None:
    made = results_of(predictor, facts, read_dataset(encoded(ultrasound(1, SIZE))))
    read = [pydicom.dcmread(io.BytesIO(content)) for _, content in made.instances]
    assert [str(each.SOPInstanceUID) for each in read] == [uid for uid, _ in made.instances]
    assert all(own_result(each) and each.Manufacturer == MANUFACTURER for each in read)
    assert {each.ConceptNameCodeSequence[0].CodeValue for each in read[:1]} == {"126000"}
    assert not any(results_of(predictor, facts, read_dataset(content)).instances for _, content in made.instances)
    assert not own_result(ultrasound(1, SIZE))
    assert SCHEME in str(read[0])
    assert np.asarray(read[1].pixel_array).dtype == np.uint8
