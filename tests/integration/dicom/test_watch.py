"""``--watch`` with a folder that a modality writes into: objects with any name, slowly or at once, beside images."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import Predictor
from edge_runtime.bundle.bundle import find
from edge_runtime.dicom.dataset import read_dataset
from edge_runtime.dicom.results import facts_of, results_of
from tests.dicom_objects import (
    MAMMOGRAM,
    RLE,
    SHOWN,
    ULTRASOUND_FRAMES,
    file_of,
    image,
    presentation_state,
    report,
    ultrasound,
)
from tests.integration.cli.test_watch_folder import Watching


@pytest.fixture
def watching(dicom_bundle: Path, tmp_path: Path) -> Watching:
    return Watching(dicom_bundle, tmp_path)


def steady(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what differs between two runs."""
    return {key: value for key, value in line.items() if key not in ("check", "file", "ms", "time")}


def by_image(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {Path(line["image"]).name: steady(line) for line in lines}


def own_results(bundle: Path) -> list[bytes]:
    with Predictor.load(str(bundle)) as predictor:
        opened = find(bundle)
        from tests.dicom_sources import encoded
        from tests.dicom_sources import ultrasound as source

        made = results_of(predictor, facts_of(opened.manifest, opened.digest), read_dataset(encoded(source(1))))
    return [content for _, content in made.instances]


def test_a_mixed_folder_gives_the_lines_of_a_plain_run(watching: Watching, dicom_bundle: Path, tmp_path: Path) -> None:
    folder = watching.folder
    watching.start("0.2")
    (folder / "IM0001").write_bytes(file_of(ultrasound(SHOWN)))
    (folder / "us.dcm").write_bytes(file_of(ultrasound(SHOWN), RLE))
    (folder / "refused.dcm").write_bytes(file_of(image(SHOWN)))
    (folder / "circle").write_bytes(file_of(presentation_state([50, 40, 53, 44])))
    (folder / "notes").write_text("x")
    cv2.imwrite(str(folder / "plain.png"), SHOWN)
    for number, content in enumerate(own_results(dicom_bundle)):
        (folder / f"own{number}.dcm").write_bytes(content)
    watching.wait(lambda lines: len(lines) >= 4)
    time.sleep(1)  # a line too many would come now
    _, told = watching.end(signal.SIGTERM)
    lines = watching.lines()
    assert {Path(line["image"]).name for line in lines} == {"IM0001", "us.dcm", "refused.dcm", "plain.png"}, lines
    assert "2 results of edge-predict" in told and "1 DICOM without image" in told
    plain = tmp_path / "plain.jsonl"
    from click.testing import CliRunner

    from edge_runtime.cli.predict import main as predict

    run = CliRunner().invoke(predict, ["--model", str(dicom_bundle), str(folder), "--output", str(plain)])
    assert run.exit_code == 1  # refused.dcm
    expected = [json.loads(line) for line in plain.read_text("ascii").splitlines()]
    answers = by_image([line for line in expected if "left_out" not in line])
    assert by_image(lines) == {name: line for name, line in answers.items() if name in by_image(lines)}
    assert by_image(lines)["refused.dcm"]["error"]["code"] == "dicom_regions_missing"


def test_an_object_that_grows_is_waited_for(watching: Watching) -> None:
    whole = file_of(ultrasound(SHOWN))
    watching.start("0.5")
    path = watching.folder / "IM0002"
    with path.open("wb") as file:
        for start in range(0, len(whole), len(whole) // 12):
            file.write(whole[start : start + len(whole) // 12])
            file.flush()
            os.fsync(file.fileno())
            time.sleep(0.15)
            assert not watching.lines()
    lines = watching.wait(lambda lines: len(lines) == 1)
    assert "error" not in lines[0]
    aside = watching.folder.parent / "aside" / "IM0003"
    aside.write_bytes(whole)
    shutil.move(aside, watching.folder / "IM0003")
    watching.wait(lambda lines: len(lines) == 2)
    watching.end(signal.SIGTERM)


def test_a_pause_gives_an_error_and_the_end_an_answer(watching: Watching) -> None:
    whole = file_of(ultrasound(SHOWN))
    watching.start("0.1")
    path = watching.folder / "IM0004.dcm"
    path.write_bytes(whole[: len(whole) // 2])
    lines = watching.wait(lambda lines: len(lines) == 1)
    assert lines[0]["error"]["code"] == "dicom_truncated"
    with path.open("ab") as file:
        file.write(whole[len(whole) // 2 :])
    lines = watching.wait(lambda lines: len(lines) == 2)
    assert "error" not in lines[1] and lines[1]["image"] == lines[0]["image"]
    watching.end(signal.SIGTERM)


def test_named_results_of_this_package_are_refused_by_name(dicom_bundle: Path, tmp_path: Path) -> None:
    from edge_runtime.errors import DicomError

    with Predictor.load(str(dicom_bundle)) as predictor, Predictor.load("breast-us") as other:
        for content in own_results(dicom_bundle):
            assert read_dataset(content).Manufacturer == "edge-predict"
            for each in (predictor, other):
                with pytest.raises(DicomError, match="of edge-predict, expected the image") as caught:
                    each.predict(content)
                assert caught.value.code == "dicom_own_result"


def mammogram(number: int) -> bytes:
    found = image(SHOWN, MAMMOGRAM, ImagerPixelSpacing=[0.2, 0.2])
    found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    return file_of(found)


CIRCLE = [150.5, 120.5, 150.5, 160.5]


def test_circles_come_before_or_after_their_image(tmp_path: Path) -> None:
    """One by a presentation state, one by a report, one after a restart, and one that never comes."""
    watching = Watching("mias-region", tmp_path)
    folder = watching.folder
    watching.start("0.1")
    (folder / "first").write_bytes(mammogram(1))
    (folder / "report").write_bytes(file_of(report(CIRCLE, uid="1.2.3.2")))
    (folder / "third").write_bytes(mammogram(3))
    (folder / "alone").write_bytes(mammogram(4))
    cv2.imwrite(str(folder / "plain.png"), SHOWN)
    watching.wait(lambda lines: len(lines) == 1)
    assert by_image(watching.lines())["plain.png"]["error"]["code"] == "region_missing"
    time.sleep(1)  # time for images to be looked at, and for a line too many
    (folder / "state").write_bytes(file_of(presentation_state(CIRCLE, uid="1.2.3.1")))
    (folder / "second").write_bytes(mammogram(2))
    lines = by_image(watching.wait(lambda lines: len(lines) == 3))
    assert lines["first"]["region"] == lines["second"]["region"] == {"x": 150.0, "y": 120.0, "radius": 40.0}
    assert lines["first"]["score"] == lines["second"]["score"]
    watching.end(signal.SIGTERM)
    watching.start("0.1")
    (folder / "late").write_bytes(file_of(presentation_state(CIRCLE, uid="1.2.3.3")))
    lines = by_image(watching.wait(lambda lines: len(lines) == 4))
    assert lines["third"]["score"] == lines["first"]["score"]
    watching.end(signal.SIGTERM)
    watching.start("0.1", "--mark-hours", "0.0001")
    lines = by_image(watching.wait(lambda lines: len(lines) == 5))
    assert lines["alone"]["error"]["code"] == "dicom_mark_missing"
    watching.end(signal.SIGTERM)


def test_a_clip_is_one_case_beside_images(tmp_path: Path) -> None:
    watching = Watching("breast-us", tmp_path)
    clip = ultrasound(np.stack([SHOWN, SHOWN[::-1]]), SOPClassUID=ULTRASOUND_FRAMES)
    clip.file_meta.MediaStorageSOPClassUID = ULTRASOUND_FRAMES
    watching.start("0.1", "--frame", "all")
    (watching.folder / "clip").write_bytes(file_of(clip))
    (watching.folder / "IM0001").write_bytes(file_of(ultrasound(SHOWN)))
    cv2.imwrite(str(watching.folder / "plain.png"), SHOWN)
    watching.wait(lambda lines: len(lines) == 3)
    time.sleep(1)  # a line too many would come now
    watching.end(signal.SIGTERM)
    lines = by_image(watching.lines())
    assert len(watching.lines()) == 3 and not any("error" in line for line in lines.values())
    assert lines["clip"]["image"] == str(watching.folder / "clip")
