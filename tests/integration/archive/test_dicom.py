"""DICOM in archives: folders of objects, zipped studies, tar files and remote places, with the lines of the command."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pydicom
import pytest
from click.testing import Result

from edge_runtime import Predictor
from edge_runtime.archive.plan import Archive
from edge_runtime.archive.planning import plan_archive
from edge_runtime.bundle.bundle import find
from edge_runtime.bundle.dicom_input import FrameChoice
from edge_runtime.dicom.results import facts_of, results_of
from tests.dicom_objects import (
    DEFLATED,
    MAMMOGRAM,
    RLE,
    SHOWN,
    ULTRASOUND_FRAMES,
    file_of,
    image,
    meant,
    presentation_state,
    screen_with_region,
    ultrasound,
)
from tests.dicom_sources import MARK, marked
from tests.dicom_sources import ultrasound as with_patient
from tests.unit.archive.rows import score_all, untimed

MODEL = "breast-us"
Called = Callable[..., Result]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, a clip, refused and damaged objects, objects without an image, text and a PNG."""
    folder, shown = tmp_path_factory.mktemp("dicom") / "study", SHOWN
    (folder / "below").mkdir(parents=True)
    objects = {
        "IM0001": file_of(screen_with_region(), DEFLATED),
        "below/us.dcm": file_of(ultrasound(shown), RLE),
        "clip": _clip(shown),
        "without_region": file_of(image(shown)),
        "mammogram.dcm": file_of(image(meant(600, 500), MAMMOGRAM)),
        "cut.dcm": file_of(ultrasound(shown))[:-4000],
        "no_prefix": file_of(ultrasound(shown))[132:],
        "empty.dcm": b"",
        "circle": file_of(presentation_state([50, 40, 53, 44])),
        "notes.txt": b"x",
        "bad.png": b"no image",
    }
    directory = image(shown, "1.2.840.10008.1.3.10")
    del directory.PixelData
    objects["DICOMDIR"] = file_of(directory)
    for number, data in enumerate(_own_results(objects["below/us.dcm"])):
        objects[f"own{number}.dcm"] = data
    for name, data in objects.items():
        (folder / name).write_bytes(data)
    cv2.imwrite(str(folder / "plain.png"), shown)
    return folder


def _own_results(data: bytes) -> list[bytes]:
    """Return the report and the heatmap that this package makes of an object."""
    bundle = find(MODEL)
    with Predictor.load(MODEL) as predictor:
        made = results_of(predictor, facts_of(bundle.manifest, bundle.digest), pydicom.dcmread(io.BytesIO(data)))
    return [content for _, content in made.instances]


def _clip(shown: np.ndarray) -> bytes:  # type: ignore[type-arg]
    clip = ultrasound(np.stack([shown, shown[::-1], shown]), SOPClassUID=ULTRASOUND_FRAMES)
    clip.file_meta.MediaStorageSOPClassUID = ULTRASOUND_FRAMES
    return file_of(clip)


@pytest.fixture(scope="module")
def zipped(study: Path) -> Path:
    path = study.parent / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(study.rglob("*")):
            opened.write(file, file.relative_to(study))
    return path


def planned(out: Path, *sources: object, model: object = MODEL, frame: FrameChoice | None = None) -> Archive:
    with Predictor.load(str(model)) as predictor:
        return plan_archive([str(source) for source in sources], out, predictor, shard_size=4, frame=frame)


def named(found: list[str]) -> dict[str, dict[str, object]]:
    return {Path(line["image"]).name: line for line in map(json.loads, found)}


def test_folders_zips_and_files_give_the_lines_of_the_command(
    study: Path, zipped: Path, edge_predict: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.parent)
    (tmp_path / "damaged.zip").write_bytes(b"PK\3\4" + bytes(60))
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as opened:
        opened.writestr("notes.txt", "x")
    shutil.copy(study / "circle", tmp_path / "circle")
    sources = ["study", "study.zip", tmp_path / "circle", tmp_path / "damaged.zip", tmp_path / "text.zip", "gone.dcm"]
    direct = edge_predict(*sources, "--json", "--model", MODEL)
    archive = planned(tmp_path / "a", *sources)
    monkeypatch.chdir("/")  # workers have other working directories
    found = score_all(archive)
    assert found == untimed(direct.stdout.splitlines())
    assert archive.plan.left_out == {"dicom_no_image": 4, "dicom_own_result": 4, "unknown_kind": 3}
    lines = named(found)
    assert lines["IM0001"]["scores"] == lines["us.dcm"]["scores"] == lines["plain.png"]["scores"]
    errors = {name: line["error"]["code"] for name, line in lines.items() if "error" in line}  # type: ignore[index]
    assert errors == {
        "clip": "dicom_frames",
        "without_region": "dicom_regions_missing",
        "mammogram.dcm": "dicom_not_accepted",
        "cut.dcm": "dicom_truncated",
        "no_prefix": "dicom_no_prefix",
        "empty.dcm": "image_empty",
        "bad.png": "image_format",
        "circle": errors["circle"],
        "damaged.zip": "dicom_zip",
        "text.zip": "folder_without_images",
        "gone.dcm": "image_not_found",
    }


def test_the_frames_of_a_clip_are_one_case_if_that_is_asked(study: Path, edge_predict: Called, tmp_path: Path) -> None:
    direct = edge_predict(study / "clip", "--frame", "all", "--json", "--model", MODEL)
    (expected,) = untimed(direct.stdout.splitlines())
    archive = planned(tmp_path / "a", study, frame=FrameChoice.ALL)
    lines = named(score_all(archive))
    assert lines.pop(Path(json.loads(expected)["image"]).name) == json.loads(expected)
    others = named(score_all(planned(tmp_path / "b", study)))
    assert others.pop("clip")["error"]["code"] == "dicom_frames"  # type: ignore[index]
    assert lines == others, "other images are as before"
    result = edge_predict("archive", "plan", study, "--out", tmp_path / "a", "--shard-size", 4, "--model", MODEL)
    assert (result.exit_code, "[archive_exists]" in result.stderr) == (2, True), "another plan"
    result = edge_predict(
        "archive", "plan", study, "--out", tmp_path / "a", "--shard-size", 4, "--model", MODEL, "--frame", "all"
    )
    assert result.exit_code == 0


def test_tar_files_and_remote_places_hold_studies_too(study: Path, zipped: Path, tmp_path: Path) -> None:
    expected = named(score_all(planned(tmp_path / "a", study)))
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(study, arcname=".")
    memory = fsspec.filesystem("memory")
    memory.put(str(study), "/pacs/study", recursive=True)
    memory.put(str(zipped), "/pacs/study.zip")
    try:
        for number, source in enumerate((tmp_path / "t.tar", "memory://pacs/study", "memory://pacs/study.zip")):
            archive = planned(tmp_path / str(number), source)
            assert archive.plan.left_out == {"dicom_no_image": 2, "dicom_own_result": 2, "unknown_kind": 1}
            found = named(score_all(archive))
            assert sorted(found) == sorted(expected)
            for name, line in found.items():
                told = {key: line.get(key) for key in ("scores", "decision", "sha256")}
                assert told == {key: expected[name].get(key) for key in told}
                assert ("error" in line) == ("error" in expected[name])
                if "error" in line:
                    assert line["error"]["code"] == expected[name]["error"]["code"]  # type: ignore[index]
    finally:
        memory.rm("/pacs", recursive=True)


def test_a_model_without_dicom_leaves_objects_out_and_takes_no_zip(
    study: Path, zipped: Path, edge_predict: Called, tmp_path: Path
) -> None:
    direct = edge_predict(study, zipped, "--json", "--model", "idc-patch-compact")
    archive = planned(tmp_path / "a", study, zipped, model="idc-patch-compact")
    assert score_all(archive) == untimed(direct.stdout.splitlines())
    assert f"left out: {archive.plan.left_out['dicom']} DICOM" in direct.stderr


def test_nothing_of_a_patient_reaches_plan_rows_or_messages(edge_predict: Called, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{number}").write_bytes(file_of(with_patient(number)))
    shutil.copy(folder / "1", folder / "cut")
    (folder / "cut").write_bytes((folder / "cut").read_bytes()[:-300])
    assert MARK in "".join(marked().values())
    archive = tmp_path / "a"
    told = [
        edge_predict("archive", *command).output
        for command in (
            ("plan", folder, "--out", archive, "--model", MODEL),
            ("run", archive, "--shard", 0),
            ("merge", archive),
            ("merge", archive, "--out", tmp_path / "all.parquet"),
        )
    ]
    written = [path for path in (*archive.rglob("*"), tmp_path / "all.parquet") if path.is_file()]
    assert len(written) >= 5 and len(told[2].splitlines()) >= 3
    assert not [text for text in told if MARK in text]
    assert not [path for path in written if MARK.encode() in path.read_bytes()]
