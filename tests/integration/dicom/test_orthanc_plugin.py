"""Orthanc with our plugin and edge-serve: each stored image gets one report and one heatmap, whoever is killed."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from edge_runtime.dicom.own_results import COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE
from tests.dicom_kills import COUNT, Killer, await_count, expected, results, write_instances
from tests.dicom_sources import encoded, ultrasound
from tests.integration.dicom.conftest import Service
from tests.orthanc import Orthanc, debian


def test_a_stored_image_gets_its_results_and_they_get_none(gateway: Orthanc, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(encoded(ultrasound(1)))
    for _ in range(2):  # the second time it is there already
        command = [debian("storescu"), "-aec", "ORTHANC", "127.0.0.1", str(gateway.dicom), str(path)]
        subprocess.run(command, check=True)
    await_count(gateway, 3, 30)
    time.sleep(1.5)  # results of results would come now
    found = results(gateway)
    uid = str(ultrasound(1).SOPInstanceUID)
    assert found == {(COMPREHENSIVE_3D_SR, uid): 1, (SECONDARY_CAPTURE, uid): 1}
    assert service.log.count('"route": "/v1/dicom"') == 1


def test_a_refusal_gives_a_report_alone(gateway: Orthanc) -> None:
    image = ultrasound(1)
    del image.SequenceOfUltrasoundRegions
    gateway.post("/instances", encoded(image))
    await_count(gateway, 2, 30)
    (report,) = gateway.tags("SR")
    assert "DICOM_REGIONS_MISSING" in json.dumps(report)
    assert not gateway.tags("OT")


def test_images_that_came_while_the_service_was_down_are_answered_later(gateway: Orthanc, service: Service) -> None:
    service.kill()
    for number in (1, 2, 3):
        gateway.post("/instances", encoded(ultrasound(number)))
    gateway.stop()  # and the archive is restarted meanwhile
    gateway.start()
    service.start()
    await_count(gateway, 9, 90)
    assert len(results(gateway)) == 6


def test_an_archive_with_another_database_is_read_from_its_beginning(gateway: Orthanc, service: Service) -> None:
    gateway.stop()
    (gateway.folder / "storage" / "edge-predict.json").write_text('{"last": 12345}', "ascii")
    gateway.start()
    gateway.post("/instances", encoded(ultrasound(1)))
    await_count(gateway, 3, 30)


@pytest.mark.slow
def test_kills_of_either_side_lose_nothing_and_double_nothing(
    gateway: Orthanc, service: Service, tmp_path: Path
) -> None:
    files = write_instances(tmp_path / "files")
    killer = Killer([("service", service.kill, service.start), ("archive", gateway.kill, gateway.start)], seed=3)
    killer.start()
    for path in files:
        while True:
            try:
                gateway.post("/instances", path.read_bytes())
                break
            except OSError:
                time.sleep(0.2)
        time.sleep(0.1)
    killer.end()
    await_count(gateway, 3 * COUNT)
    time.sleep(1)
    assert results(gateway) == expected()
    print(f"{COUNT} instances, kills {dict(killer.kills)}")
    assert len(killer.kills) == 2
