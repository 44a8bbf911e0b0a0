"""Files of a watched folder: which are predicted, which are kept as marks, and which wait for one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_runtime.bundle.bundle import find
from edge_runtime.dicom.refusals import Refusal, refused
from edge_runtime.dicom.study import StudyItem
from edge_runtime.dicom.watched_study import WatchedStudy, reason_beside_marks
from edge_runtime.images.left_out import LeftOutReason
from edge_runtime.inference.prediction import Failure
from tests.dicom_objects import MAMMOGRAM, file_of, image, meant, presentation_state, report

REGION, WHOLE = (find(name).manifest.spec for name in ("mias-region", "breast-us"))
CIRCLE = [50.5, 40.5, 50.5, 60.5]
HOUR_S = 3600.0


def lacks_mark(path: str) -> Failure:
    return Failure(path, refused(Refusal.MARK_MISSING, path, "no circle", "one."))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    contents = {
        "image": file_of(image(meant(), MAMMOGRAM)),
        "state": file_of(presentation_state(CIRCLE)),
        "report": file_of(report([1, 1], kind="POINT")),
        "cut": file_of(presentation_state(CIRCLE))[:300],
        "other": b"x" * 200,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in contents}


def test_an_image_waits_until_its_circle_comes(files: dict[str, str]) -> None:
    study = WatchedStudy(all_frames=False, mark_wait_s=HOUR_S)
    asked = study.to_predict(files["image"], 1, REGION)
    assert isinstance(asked, StudyItem) and not asked.marks
    assert study.waits(files["image"], lacks_mark(files["image"]))
    assert not study.is_due(files["image"], 1)
    assert study.is_due(files["image"], 2)  # a changed file
    assert study.to_predict(files["report"], 1, REGION) is None  # without a circle
    assert not study.is_due(files["image"], 1) and not study.is_due(files["report"], 1)
    assert study.to_predict(files["state"], 1, REGION) is None
    assert study.is_due(files["image"], 1) and not study.is_due(files["state"], 1)
    asked = study.to_predict(files["image"], 1, REGION)
    assert isinstance(asked, StudyItem) and len(asked.marks) == 1


def test_nothing_waits_longer_than_it_may(files: dict[str, str]) -> None:
    study = WatchedStudy(all_frames=False, mark_wait_s=HOUR_S)
    study.to_predict(files["image"], 1, REGION)
    assert study.waits(files["image"], lacks_mark(files["image"]))
    os.utime(files["image"], (0, 0))
    study.expire()
    assert study.is_due(files["image"], 1)
    study.to_predict(files["image"], 1, REGION)
    assert not study.waits(files["image"], lacks_mark(files["image"]))


def test_a_mark_that_was_removed_marks_nothing(files: dict[str, str]) -> None:
    study = WatchedStudy(all_frames=False, mark_wait_s=HOUR_S)
    study.to_predict(files["state"], 1, REGION)
    Path(files["state"]).unlink()
    asked = study.to_predict(files["image"], 1, REGION)
    assert isinstance(asked, StudyItem) and not asked.marks
    study.expire()


def test_other_refusals_do_not_wait_and_damaged_marks_are_told(files: dict[str, str]) -> None:
    study = WatchedStudy(all_frames=False, mark_wait_s=HOUR_S)
    study.to_predict(files["image"], 1, REGION)
    other = Failure(files["image"], refused(Refusal.SPACING_MISSING, files["image"], "none", "one."))
    assert not study.waits(files["image"], other)
    found = [study.to_predict(files[name], 1, REGION) for name in ("cut", "other")]
    assert [each.error.code for each in found if isinstance(each, Failure)] == ["dicom_truncated", "region_missing"]
    assert study.to_predict(files["image"] + ".gone", 1, REGION) == files["image"] + ".gone"


def test_models_of_whole_images_take_paths_and_clips_as_cases(files: dict[str, str]) -> None:
    assert WatchedStudy(all_frames=False, mark_wait_s=0).to_predict(files["image"], 1, WHOLE) == files["image"]
    study = WatchedStudy(all_frames=True, mark_wait_s=0)
    asked = study.to_predict(files["image"], 1, WHOLE)
    assert isinstance(asked, StudyItem) and asked.frame is not None and asked.name == files["image"]
    assert study.to_predict(files["other"], 1, WHOLE) == files["other"]


def test_marks_are_not_left_out(files: dict[str, str]) -> None:
    assert reason_beside_marks(files["state"]) is None
    Path(files["image"]).write_bytes(file_of(image(meant(), "1.2.840.10008.1.3.10")))
    assert reason_beside_marks(files["image"]) is LeftOutReason.DICOM_NO_IMAGE
