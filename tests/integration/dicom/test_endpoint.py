"""``POST /v1/dicom``: what comes back, and what is refused."""

from __future__ import annotations

import email
import io
from pathlib import Path

import pydicom
import pytest

from edge_runtime.dicom.own_results import COMPREHENSIVE_3D_SR, MANUFACTURER, SECONDARY_CAPTURE
from tests.dicom_sources import encoded, ultrasound
from tests.integration.dicom.conftest import Service
from tests.serving import Response, Served

IMAGE = encoded(ultrasound(1))


def parts(answer: Response) -> list[pydicom.Dataset]:
    """Read a multipart response with Python's parser for mail."""
    whole = b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.body
    message = email.message_from_bytes(whole)
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    found = message.get_payload()
    assert isinstance(found, list)
    assert {part.get_content_type() for part in found} == {"application/dicom"}
    return [pydicom.dcmread(io.BytesIO(part.get_payload(decode=True))) for part in found]


@pytest.fixture
def served(service: Service) -> Served:
    assert service.running is not None
    return service.running


def post(served: Served, content: bytes, query: str = "", kind: str = "application/dicom") -> Response:
    return served.request("POST", f"/v1/dicom{query}", content, {"Content-Type": kind})


def test_the_endpoint(served: Served, dicom_bundle: Path) -> None:
    report, heatmap = parts(post(served, IMAGE))
    assert (report.SOPClassUID, heatmap.SOPClassUID) == (COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE)
    assert report.Manufacturer == heatmap.Manufacturer == MANUFACTURER
    assert report.StudyInstanceUID == heatmap.StudyInstanceUID == ultrasound(1).StudyInstanceUID

    again = parts(post(served, IMAGE))
    assert [each.SOPInstanceUID for each in again] == [report.SOPInstanceUID, heatmap.SOPInstanceUID]
    assert [each.SOPClassUID for each in parts(post(served, IMAGE, "?heatmap=0"))] == [COMPREHENSIVE_3D_SR]

    for own in (report, heatmap):  # what comes back is nothing to answer
        assert (post(served, encoded(own)).status, post(served, encoded(own)).body) == (204, b"")

    image = ultrasound(1)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"  # CT
    (refusal,) = parts(post(served, encoded(image)))
    assert "DICOM_NOT_ACCEPTED" in str(refusal)
    assert 'edge_refusals_total{code="dicom_not_accepted"' in served.get("/metrics").body.decode()

    for content, query, kind, status, code in (
        (b"no object", "", "application/dicom", 422, "dicom_no_prefix"),
        (IMAGE[:900], "", "application/dicom", 422, "dicom_truncated"),
        (IMAGE, "?model=none", "application/dicom", 404, "model_not_served"),
        (IMAGE, "?frame=0", "application/dicom", 400, "parameter_invalid"),
        (IMAGE, "?heatmap=2", "application/dicom", 400, "parameter_invalid"),
        (IMAGE, "?region=1,2,3", "application/dicom", 400, "parameter_unknown"),
        (b"{}", "", "application/json", 415, "media_type"),
    ):
        answer = post(served, content, query, kind)
        assert (answer.status, answer.code) == (status, code)
