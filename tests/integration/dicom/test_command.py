"""``edge-predict`` and ``edge-dicom check`` with DICOM files, studies in folders and zips, and clips."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge_runtime import Predictor
from edge_runtime.cli.dicom import main as dicom
from edge_runtime.cli.predict import main as predict
from tests.dicom_objects import (
    DEFLATED,
    MAMMOGRAM,
    RLE,
    ROOT,
    SHOWN,
    ULTRASOUND_FRAMES,
    file_of,
    image,
    meant,
    presentation_state,
    screen_with_region,
    ultrasound,
    with_region,
)
from tests.integration.cli.test_watch_folder import VALID


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Files with and without ending, a directory of the medium, a circle, text and a PNG."""
    folder = tmp_path / "study"
    (folder / "below").mkdir(parents=True)
    (folder / "IM0001").write_bytes(file_of(screen_with_region(), DEFLATED))
    (folder / "below" / "us.dcm").write_bytes(file_of(ultrasound(SHOWN), RLE))
    clip = ultrasound(np.stack([SHOWN, SHOWN[::-1]]), SOPClassUID=ULTRASOUND_FRAMES)
    clip.file_meta.MediaStorageSOPClassUID = ULTRASOUND_FRAMES
    (folder / "clip").write_bytes(file_of(clip))
    directory = image(SHOWN, "1.2.840.10008.1.3.10")
    del directory.PixelData
    (folder / "DICOMDIR").write_bytes(file_of(directory))
    (folder / "circle").write_bytes(file_of(presentation_state([50, 40, 53, 44])))
    (folder / "notes.txt").write_text("x")
    cv2.imwrite(str(folder / "plain.png"), SHOWN)
    return folder


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments])


def lines(result: Result) -> dict[str, Any]:
    return {Path(line["image"]).name: line for line in map(json.loads, result.stdout.splitlines())}


def test_a_folder_of_a_study_is_answered_with_what_lies_beside(study: Path) -> None:
    result = run(predict, "--model", "breast-us", study, "--json")
    found = lines(result)
    assert list(found) == ["IM0001", "us.dcm", "clip", "plain.png"]
    assert found["IM0001"]["scores"] == found["us.dcm"]["scores"] == found["plain.png"]["scores"]
    assert found["clip"]["error"]["code"] == "dicom_frames"
    assert result.exit_code == 1
    assert "2 DICOM without image" in result.stderr and "1 unknown kind" in result.stderr


def test_a_zipped_study_is_answered_as_the_folder(study: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(study.rglob("*")):
            opened.write(path, path.relative_to(study))
    folder, zipped = lines(run(predict, "--model", "breast-us", study, "--json")), None
    result = run(predict, "--model", "breast-us", archive, "--json")
    zipped = lines(result)
    assert sorted(zipped) == sorted(folder)
    for name, line in folder.items():
        assert zipped[name].get("scores") == line.get("scores")
        assert zipped[name]["sha256"] == line["sha256"]
    assert "2 DICOM without image" in result.stderr


def test_a_results_file_of_a_study_is_continued(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    first = run(predict, "--model", "breast-us", study, "--output", out)
    again = run(predict, "--model", "breast-us", study, "--output", out, "--resume")
    assert "3 answered, 1 failed, 0 already there." in first.stderr
    assert "0 answered, 0 failed, 4 already there (1 failed)." in again.stderr


def test_frames_are_chosen_or_one_case(study: Path) -> None:
    clip = study / "clip"
    one = json.loads(run(predict, "--model", "breast-us", clip, "--frame", 2, "--json").stdout)
    case = json.loads(run(predict, "--model", "breast-us", clip, "--frame", "all", "--json").stdout)
    with Predictor.load("breast-us") as predictor:
        alone = [predictor.predict(each) for each in (SHOWN, np.ascontiguousarray(SHOWN[::-1]))]
    assert one["image"] == f"{clip}#2" and one["score"] == alone[1].verdict.score
    assert case["score"] in [each.verdict.score for each in alone]
    for arguments in (("--frame", "0"), ("--frame", "x"), ("--frame", "1", study)):
        assert run(predict, "--model", "breast-us", clip, *arguments).exit_code == 2
    assert run(predict, "--model", "breast-us", study / "plain.png", "--frame", "1").exit_code == 2
    assert "[dicom_frame_unknown]" in run(predict, "--model", "breast-us", clip, "--frame", "3").stdout


def test_a_circle_beside_a_mammogram_marks_its_region(tmp_path: Path) -> None:
    (tmp_path / "mg").write_bytes(file_of(image(meant(600, 500), MAMMOGRAM, ImagerPixelSpacing=[0.2, 0.2])))
    (tmp_path / "circle.dcm").write_bytes(file_of(presentation_state([250.5, 300.5, 310.5, 300.5])))
    by_hand = run(predict, "--model", "mias-region", tmp_path / "mg", "--region", "250,300,60", "--json")
    marked = run(predict, "--model", "mias-region", tmp_path, "--json")
    named = run(predict, "--model", "mias-region", tmp_path / "mg", tmp_path / "circle.dcm", "--json")
    told = [json.loads(each.stdout) for each in (by_hand, marked, named)]
    assert told[0]["region"] == told[1]["region"] == told[2]["region"] == {"x": 250.0, "y": 300.0, "radius": 60.0}
    assert told[0]["scores"] == told[1]["scores"] == told[2]["scores"]
    (tmp_path / "second.dcm").write_bytes(file_of(presentation_state([200.5, 300.5, 260.5, 300.5])))
    assert "[dicom_marks_several]" in run(predict, "--model", "mias-region", tmp_path).stdout
    assert "[dicom_mark_missing]" in run(predict, "--model", "mias-region", tmp_path / "mg").stdout


def test_a_model_of_regions_without_dicom_or_region_stops_as_before(study: Path) -> None:
    result = run(predict, "--model", "mias-region", study / "plain.png")
    assert (result.exit_code, "region_missing" in result.stderr) == (2, True)


def test_a_model_without_dicom_leaves_a_study_out_and_names_others(study: Path) -> None:
    result = run(predict, "--model", "idc-patch-compact", study)
    assert "left out: 5 DICOM" in result.stderr and result.exit_code == 1
    named = run(predict, "--model", "idc-patch-compact", study / "IM0001")
    assert "[dicom_not_accepted]" in named.stdout
    assert "Models that accept it: breast-us, breast-us-lesion." in named.stdout


def test_a_heatmap_is_drawn_over_the_region(study: Path, tmp_path: Path) -> None:
    result = run(predict, "--model", "breast-us", study / "IM0001", "--heatmap", tmp_path / "map.png")
    assert result.exit_code == 0 and cv2.imread(str(tmp_path / "map.png")) is not None


def test_damaged_zips_and_missing_prefixes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\3\4" + bytes(60))
    assert "[dicom_zip]" in run(predict, "--model", "breast-us", tmp_path / "x.zip").stdout
    (tmp_path / "bare").write_bytes(file_of(ultrasound(SHOWN))[132:])
    assert "[dicom_no_prefix]" in run(predict, "--model", "breast-us", tmp_path / "bare").stdout


def test_check_tells_what_would_be_done_and_why(study: Path) -> None:
    result = run(dicom, "check", study / "IM0001")
    assert result.exit_code == 0
    assert "object    Ultrasound Image Storage" in result.stdout
    assert "breast-us: classifies a part of it: 300x240 pixels, from column 100 and row 60" in result.stdout
    assert "mias-region: refused [dicom_not_accepted]" in result.stdout
    assert ROOT not in result.stdout
    told = json.loads(run(dicom, "check", study / "clip", "--model", "breast-us", "--json").stdout)
    assert told["models"][0]["error"] == "dicom_frames"
    assert run(dicom, "check", study / "clip", "--model", "breast-us").exit_code == 1
    assert run(dicom, "check", study / "clip", "--model", "breast-us", "--frame", 2).exit_code == 0
    (study / "small").write_bytes(file_of(with_region(image(SHOWN), 0, 0, 90, 90)))
    small = run(dicom, "check", study / "small", "--model", "breast-us")
    assert small.exit_code == 1 and "refused [image_too_small]" in small.stdout
    refused = run(dicom, "check", study / "notes.txt")
    assert refused.exit_code == 1 and "[dicom_no_prefix]" in refused.stderr


def test_text_that_the_object_permits_is_told(tmp_path: Path) -> None:
    pixels = (SHOWN * 0.6).astype(np.uint8)
    cv2.putText(pixels, "MAMA DIREITA", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    path, results = tmp_path / "us.dcm", tmp_path / "results.jsonl"
    path.write_bytes(file_of(ultrasound(pixels, BurnedInAnnotation="NO")))
    done = run(predict, "--model", "breast-us", path, "--json")
    line = json.loads(done.stdout)
    assert line["burnt_in_text"] == "PERMITTED"
    VALID.validate(line)
    assert "Burned In Annotation NO" in run(predict, "--model", "breast-us", path).stdout
    assert run(predict, "--model", "breast-us", path, "--output", results).exit_code == 0
    assert run(predict, "check", results).exit_code == 0
    path.write_bytes(file_of(ultrasound(SHOWN, BurnedInAnnotation="NO")))
    assert "burnt_in_text" not in json.loads(run(predict, "--model", "breast-us", path, "--json").stdout)
