"""What others make of our results: dciodvfy, dsrdump, Orthanc's REST, DICOMweb, and a viewer."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from edge_runtime.dicom.own_results import COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE
from tests.chromium import browser
from tests.dicom_kills import await_count
from tests.dicom_sources import encoded, ultrasound
from tests.orthanc import Orthanc, debian

SIZE = (300, 400)


@pytest.fixture
def answered(gateway: Orthanc) -> Orthanc:
    """Orthanc with one image, its report and its heatmap."""
    gateway.post("/instances", encoded(ultrasound(1, SIZE)))
    await_count(gateway, 3, 30)
    return gateway


def instance(archive: Orthanc, sop_class: str) -> str:
    found = [each["ID"] for each in archive.get("/instances?expand")]
    (one,) = (i for i in found if archive.get_bytes(f"/instances/{i}/metadata/SopClassUid").decode() == sop_class)
    return str(one)


def test_the_results_conform_and_are_read(answered: Orthanc, tmp_path: Path) -> None:
    for sop_class in (COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE):
        path = tmp_path / f"{sop_class}.dcm"
        path.write_bytes(answered.get_bytes(f"/instances/{instance(answered, sop_class)}/file"))
        done = subprocess.run([debian("dciodvfy"), str(path)], capture_output=True, text=True, check=False)
        assert not [line for line in done.stderr.splitlines() if line.startswith("Error")]
    report = tmp_path / f"{COMPREHENSIVE_3D_SR}.dcm"
    done = subprocess.run([debian("dsrdump"), "-Ee", "+Pl", str(report)], capture_output=True, text=True, check=True)
    for words in ("PRELIMINARY", "not a diagnosis", "UNCALIBRATED", "REFER", "Cut-off", "contract ", "bundle "):
        assert words in done.stdout, words


def test_rest_and_dicomweb_list_them(answered: Orthanc) -> None:
    study = str(ultrasound(1, SIZE).StudyInstanceUID)
    for sop_class in (COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE):
        uid = answered.get(f"/instances/{instance(answered, sop_class)}")["MainDicomTags"]["SOPInstanceUID"]
        (listed,) = answered.get(f"/dicom-web/studies/{study}/instances?SOPInstanceUID={uid}")
        assert listed["00080016"]["Value"] == [sop_class]
        assert listed["0020000D"]["Value"] == [study]
    series = answered.get(f"/dicom-web/studies/{study}/series")
    assert sorted(each["00080060"]["Value"][0] for each in series) == ["SR", "US", "US"]


def test_the_heatmap_lies_on_the_image_pixel_by_pixel(answered: Orthanc) -> None:
    """Where the map is 0 and nothing is written, the source shines through; the size is the source's."""
    content = answered.get_bytes(f"/instances/{instance(answered, SECONDARY_CAPTURE)}/file")
    drawn = pydicom.dcmread(io.BytesIO(content))
    source = ultrasound(1, SIZE)
    assert (drawn.Rows, drawn.Columns) == SIZE
    assert drawn.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    grey = cv2.cvtColor(drawn.pixel_array, cv2.COLOR_RGB2GRAY)[: SIZE[0] - 40].astype(float)
    below = source.pixel_array[..., 0][: SIZE[0] - 40].astype(float)
    best = max(
        (np.corrcoef(np.roll(grey, (dy, dx), (0, 1)).ravel(), below.ravel())[0, 1], dy, dx)
         for dy in range(-2, 3) for dx in range(-2, 3)
    )  # fmt: skip
    assert best[1:] == (0, 0)
    assert best[0] > 0.7


def test_a_viewer_shows_them(answered: Orthanc, tmp_path: Path) -> None:
    """Orthanc's own pages: the study with its three series, and the preview of the heatmap."""
    heatmap, report = instance(answered, SECONDARY_CAPTURE), instance(answered, COMPREHENSIVE_3D_SR)
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1100, "height": 900})
        page.goto(f"{answered.url}/app/explorer.html#study?uuid={answered.get('/studies')[0]}")
        page.get_by_text("PRELIMINARY, not a diagnosis").first.wait_for(timeout=20_000)
        page.screenshot(path=str(tmp_path / "study.png"))
        page.goto(f"{answered.url}/instances/{heatmap}/preview")
        shown = page.locator("img")
        assert shown.evaluate("image => [image.naturalHeight, image.naturalWidth]") == list(SIZE)
        page.screenshot(path=str(tmp_path / "heatmap.png"))
    assert "UNCALIBRATED" in json.dumps(answered.get(f"/instances/{report}/simplified-tags"))
