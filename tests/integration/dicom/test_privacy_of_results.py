"""No value that names a patient, a person or a place leaves a data set, but in the results themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
import warnings
from pathlib import Path

from pydicom.dataset import Dataset

from tests.dicom_kills import await_count
from tests.dicom_receiver import receiving
from tests.dicom_sources import MARK, encoded, marked, ultrasound
from tests.integration.dicom.conftest import Service
from tests.orthanc import TITLE, Orthanc
from tests.places import ROOT

BIRTH_DATE = "19013399"
"""Not a date: pydicom's warnings about it quote it."""


def images(folder: Path) -> list[Path]:
    """Write images that are answered, refused, damaged in their values, and not readable at all."""
    folder.mkdir()
    answered, refused, odd, broken = (ultrasound(number, (300, 400)) for number in (1, 2, 3, 4))
    del refused.SequenceOfUltrasoundRegions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        contents = [encoded(answered), encoded(refused), encoded(_with_odd_values(odd)), encoded(broken)[:1500]]
    paths = [folder / f"{number}.dcm" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def _with_odd_values(image: Dataset) -> Dataset:
    """Return the image with values that break the rules of their kinds."""
    image.PatientBirthDate = BIRTH_DATE
    image.AccessionNumber = f"{MARK}{'9' * 80}"
    image.StudyTime = f"{MARK}TIME"
    image.PatientAge = f"{MARK}AGE"
    image.OtherPatientNames = f"{MARK}^=^=^=^\\^^^^^^^^"
    return image


def assert_silent(text: str, *further: str) -> None:
    for value in (MARK, BIRTH_DATE, "19010203", *further, *marked().values()):
        assert value not in text, value


def names(folder: Path) -> str:
    return "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_receiver_and_spool(archive: Orthanc, dicom_bundle: Path, tmp_path: Path) -> None:
    with receiving(tmp_path / "r", dicom_bundle, f"{TITLE}@127.0.0.1:{archive.dicom}") as receiver:
        paths = images(tmp_path / "images")
        assert receiver.send(*paths[:3]) == [0, 0, 0]
        (receiver.spool / "incoming" / f"{1:020}-{'0' * 32}.dcm").write_bytes(paths[3].read_bytes())
        await_count(archive, 5, 60)
        receiver.await_events("set_aside", 1)
        archive.stop()
        receiver.send(paths[0])
        receiver.await_events("peer_fault", 1, 60)
        uids = [str(ultrasound(number).SOPInstanceUID) for number in (1, 2, 3, 4)]
        assert_silent(receiver.log.read_text("utf-8"), *uids)
        assert_silent(names(receiver.spool), *uids)
        assert list((receiver.spool / "outgoing").iterdir())
        receiver.stop()


def test_service_and_plugin(gateway: Orthanc, service: Service, tmp_path: Path) -> None:
    paths = images(tmp_path / "images")
    for path in paths[:3]:
        gateway.post("/instances", path.read_bytes())
    await_count(gateway, 3 + 5, 60)
    assert service.running is not None
    said = [service.running.request("POST", "/v1/dicom", path.read_bytes()) for path in paths]
    assert [each.status for each in said] == [200, 200, 200, 422]
    assert_silent(said[3].body.decode())
    assert_silent(service.running.get("/metrics").body.decode())
    assert_silent(service.log)
    own = [line for line in gateway.log.read_text("utf-8", "replace").splitlines() if "edge-predict:" in line]
    assert_silent("\n".join(own))


def test_commands(tmp_path: Path, archive: Orthanc) -> None:
    """``edge-dicom send`` shows names of files and statuses alone, also of objects that it cannot read."""
    program = [sys.executable, "-W", "default", "-m", "edge_runtime.cli.dicom"]
    command = [*program, "send", *map(str, images(tmp_path / "i"))]
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    for to in (f"{TITLE}@127.0.0.1:{archive.dicom}", "NOBODY@127.0.0.1:1"):
        done = subprocess.run([*command, "--to", to], capture_output=True, text=True, check=False, env=known)
        assert_silent(done.stdout + done.stderr)
    assert urllib.request.urlopen(f"{archive.url}/instances").status == 200
