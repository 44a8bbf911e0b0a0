"""A model of marked lesions behind receiver, service and Orthanc: the circle comes before or after its image."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pydicom
import pytest

from edge_runtime import Predictor
from edge_runtime.dicom.own_results import COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE
from tests.dicom_kills import await_count, results
from tests.dicom_objects import file_of
from tests.dicom_objects import ultrasound as clip_of
from tests.dicom_pairs import CIRCLE, image, mark
from tests.dicom_receiver import receiving
from tests.dicom_sources import encoded, ultrasound
from tests.integration.dicom.conftest import PLUGIN, Service
from tests.orthanc import TITLE, Orthanc, orthanc
from tests.serving import Served

MODEL = Path("breast-us-lesion")
KINDS = ["presentation state", "report"]


def file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def one_of_each(archive: Orthanc) -> None:
    found = results(archive)
    assert set(found.values()) == {1} and {kind for kind, _ in found} == {COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE}


@pytest.fixture
def to(archive: Orthanc) -> str:
    return f"{TITLE}@127.0.0.1:{archive.dicom}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", ["image", "mark"])
def test_mark_and_image_in_either_order(first: str, kind: str, archive: Orthanc, to: str, tmp_path: Path) -> None:
    pair = [file(tmp_path, "image", image(1)), file(tmp_path, "mark", mark(1, kind))]
    with receiving(tmp_path / "r", MODEL, to) as receiver:
        for path in pair if first == "image" else pair[::-1]:
            assert receiver.send(path) == [0]
            receiver.await_events("waits_for_mark" if path.name == "image" and first == "image" else "received", 1)
        await_count(archive, 2, 60)
        one_of_each(archive)
        (answered,) = receiver.events("answered")
        assert answered["decision"] in ("POSITIVE", "NEGATIVE", "REFER")
        found = json.dumps(archive.tags("SR"))
        assert "MARK_MISSING" not in found
        assert receiver.send(*pair) == [0, 0]  # the study again: no second report
        receiver.await_events("answered", 2)
        assert receiver.stop() == 0
    assert len(archive.get("/instances")) == 2


@pytest.mark.parametrize("first", ["image", "mark"])
def test_a_kill_between_the_two_loses_neither(first: str, archive: Orthanc, to: str, tmp_path: Path) -> None:
    pair = [file(tmp_path, "image", image(1)), file(tmp_path, "mark", mark(1))]
    with receiving(tmp_path / "r", MODEL, to) as receiver:
        before, after = pair if first == "image" else pair[::-1]
        assert receiver.send(before) == [0]
        receiver.await_events("waits_for_mark" if first == "image" else "mark_kept", 1)
        receiver.kill()
        receiver.start()
        assert receiver.send(after) == [0]
        await_count(archive, 2, 60)
        one_of_each(archive)


def test_an_image_without_a_mark_gets_a_refusal_after_the_wait(archive: Orthanc, to: str, tmp_path: Path) -> None:
    with receiving(tmp_path / "r", MODEL, to, "--mark-hours", str(12 / 3600)) as receiver:
        assert receiver.send(file(tmp_path, "image", image(1)), file(tmp_path, "other", mark(2))) == [0, 0]
        receiver.await_events("waits_for_mark", 1)
        assert not receiver.events("answered")
        await_count(archive, 1, 30)
        assert "DICOM_MARK_MISSING" in json.dumps(archive.tags("SR"))
        assert receiver.await_events("marks_dropped", 1)[0]["count"] == 1
        spool = [path for path in receiver.spool.rglob("*.dcm") if path.is_file()]
        assert not [path for path in spool if path.parent.name in ("marks", "unmarked", "incoming")]


def test_an_image_that_is_refused_anyway_does_not_wait(archive: Orthanc, to: str, tmp_path: Path) -> None:
    refused = ultrasound(1)
    del refused.SequenceOfUltrasoundRegions
    with receiving(tmp_path / "r", MODEL, to) as receiver:
        assert receiver.send(file(tmp_path, "image", encoded(refused))) == [0]
        await_count(archive, 1, 30)
        assert "DICOM_REGIONS_MISSING" in json.dumps(archive.tags("SR"))
        assert not receiver.events("waits_for_mark")


def test_a_clip_is_one_case(archive: Orthanc, to: str, tmp_path: Path) -> None:
    content = clip()
    with receiving(tmp_path / "r", Path("breast-us"), to) as receiver, Predictor.load("breast-us") as predictor:
        assert receiver.send(file(tmp_path, "clip", content)) == [0]
        await_count(archive, 2, 60)
        one_of_each(archive)
        (answered,) = receiver.events("answered")
        from edge_runtime.bundle.dicom_input import FrameChoice

        expected = predictor.predict(content, frame=FrameChoice.ALL)
        assert answered["decision"] == expected.verdict.decision.value
        (report,) = archive.tags("SR")
        assert "3 frames were classified as one case." in json.dumps(report)


def clip() -> bytes:
    import numpy as np

    frames = np.stack([ultrasound(number, (240, 320)).pixel_array[..., 0] for number in (1, 2, 3)])
    found = clip_of(frames, SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", Modality="US", NumberOfFrames=3)
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.BurnedInAnnotation = "NO"
    return file_of(found)


@pytest.fixture
def lesions(service: Service) -> Service:
    service.kill()
    service.bundle = MODEL
    service.start()
    return service


def related(*parts: bytes) -> tuple[bytes, str]:
    body = b"".join(b"--x\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts)
    return body + b"--x--\r\n", 'multipart/related; type="application/dicom"; boundary=x'


def test_the_endpoint_takes_an_image_with_its_marks(lesions: Service) -> None:
    served = lesions.running
    assert isinstance(served, Served)

    def post(*parts: bytes, query: str = "") -> tuple[int, bytes, str]:
        body, kind = related(*parts)
        found = served.request("POST", f"/v1/dicom{query}", body, {"Content-Type": kind})
        return found.status, found.body, found.code if found.status >= 400 else ""

    status, body, _ = post(image(1), mark(1), mark(2))
    assert status == 200
    report = pydicom.dcmread(io.BytesIO(body[body.index(b"\r\n\r\n") + 4 :]))
    assert "DICOM_MARK_MISSING" not in str(report)
    assert str([float(each) for each in CIRCLE][:1])[1:4] in str(report)  # 160, the centre
    status, body, _ = post(mark(2), image(1))
    assert status == 200 and b"DICOM_MARK_MISSING" in body
    assert post(mark(2), image(1), query="?unmarked=wait")[::2] == (422, "dicom_mark_missing")
    assert post(image(1), image(2))[::2] == (422, "dicom_several_images")
    assert post(mark(1), mark(2))[::2] == (422, "dicom_several_images")
    assert post(*[mark(1)] * 120)[::2] == (400, "multipart_invalid")
    assert served.request("POST", "/v1/dicom?unmarked=no", image(1)).code == "parameter_invalid"


@pytest.fixture
def marked_gateway(lesions: Service, tmp_path: Path) -> Orthanc:
    settings = {"PythonScript": str(PLUGIN), "EdgePredict": {"Url": f"unix:{lesions.uds}", "MarkHours": 25 / 3600}}
    with orthanc(tmp_path / "orthanc", **settings) as running:
        yield running  # type: ignore[misc]


@pytest.mark.parametrize("kind", KINDS)
def test_orthanc_in_either_order_and_a_refusal_after_the_wait(
    kind: str, marked_gateway: Orthanc, tmp_path: Path
) -> None:
    state = marked_gateway.folder / "storage" / "edge-predict.json"
    marked_gateway.post("/instances", mark(1, kind))
    marked_gateway.post("/instances", image(1))
    await_count(marked_gateway, 4, 60)
    marked_gateway.post("/instances", image(2))
    end = time.monotonic() + 30
    while len(json.loads(state.read_text("ascii"))["unmarked"]) != 1:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert len(marked_gateway.get("/instances")) == 5
    marked_gateway.kill()
    marked_gateway.start()
    marked_gateway.post("/instances", mark(2, kind))
    await_count(marked_gateway, 8, 60)
    found = results(marked_gateway)
    assert len(found) == 4 and set(found.values()) == {1}
    assert "MARK_MISSING" not in json.dumps(marked_gateway.tags("SR"))
    marked_gateway.post("/instances", image(3))
    await_count(marked_gateway, 10, 60)
    assert "MARK_MISSING" in json.dumps(marked_gateway.tags("SR"))
    assert json.loads(state.read_text("ascii"))["unmarked"] == {}


def test_orthanc_clips_are_one_case(service: Service, tmp_path: Path) -> None:
    service.kill()
    service.bundle = Path("breast-us")
    service.start()
    settings = {"PythonScript": str(PLUGIN), "EdgePredict": {"Url": f"unix:{service.uds}"}}
    with orthanc(tmp_path / "orthanc", **settings) as running:
        running.post("/instances", clip())
        await_count(running, 3, 60)
        assert "3 frames were classified as one case." in json.dumps(running.tags("SR"))
