"""A folder on the command line is accounted for: on stderr, in the results file and in the exit status."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import pytest

from tests.places import ROOT

SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
VALID = jsonschema.Draft202012Validator(SCHEMA)
DICOM = b"\0" * 128 + b"DICM" + b"\0" * 99


@pytest.fixture
def folder(phantom_patches: list[Path], tmp_path: Path) -> Path:
    """Images under endings that are no image's, DICOM, and what computers put beside them."""
    root = tmp_path / "in"
    root.mkdir()
    jpeg = cv2.imencode(".jpg", cv2.imread(str(phantom_patches[0])))[1].tobytes()
    for name in ("a.png", ".ipynb_checkpoints/a-checkpoint.png", "@eaDir/a.png/SYNOFILE_THUMB_M.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(phantom_patches[0], root / name)
    for name, data in {"b.jfif": jpeg, "c.jpe": jpeg, "d": jpeg, "._a.png": b"\0\5\x16\7", "n.txt": b"none"}.items():
        (root / name).write_bytes(data)
    return root


def lines(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        VALID.validate(line)
    return found


@pytest.mark.parametrize("style", ["--json", "--csv"])
def test_images_are_answered_by_content_and_the_rest_is_counted(
    style: str, edge_predict: Any, phantom_bundle: Path, folder: Path
) -> None:
    result = edge_predict("--model", phantom_bundle, style, folder)
    rows = lines(result.stdout) if style == "--json" else list(csv.DictReader(io.StringIO(result.stdout)))
    assert [Path(row["image"]).name for row in rows] == ["a.png", "b.jfif", "c.jpe", "d"]
    assert result.exit_code == 0
    assert result.stderr == (
        f"left out: 1 unknown kind ({folder}/n.txt), 1 hidden ({folder}/.ipynb_checkpoints), "
        f"1 AppleDouble ({folder}/._a.png), 1 thumbnail folder ({folder}/@eaDir).\n"
    )


@pytest.mark.parametrize(
    "name, data", [("IM000001", DICOM), ("x.dcm", DICOM), ("x.dcm", b""), ("x.cr2", b"II*\0aaaaCR")]
)
def test_an_image_that_is_left_out_leaves_with_1(
    name: str, data: bytes, edge_predict: Any, phantom_bundle: Path, folder: Path
) -> None:
    (folder / name).write_bytes(data)
    result = edge_predict("--model", phantom_bundle, "--json", folder)
    assert (result.exit_code, len(lines(result.stdout))) == (1, 4)
    assert f"({folder / name})" in result.stderr


def test_an_image_of_a_kind_that_is_not_taken_fails_by_name(
    edge_predict: Any, phantom_bundle: Path, folder: Path
) -> None:
    (folder / "x").write_bytes(b"GIF89a" + b"\0" * 20)
    result = edge_predict("--model", phantom_bundle, "--json", folder)
    failed = [line for line in lines(result.stdout) if "error" in line]
    assert [(line["image"], line["error"]["code"]) for line in failed] == [(str(folder / "x"), "image_format")]
    assert (result.exit_code, "1 of 5 failed." in result.stderr) == (1, True)


def test_a_folder_of_dicom_alone_is_a_folder_without_images(
    edge_predict: Any, phantom_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "IM1").write_bytes(DICOM)
    result = edge_predict("--model", phantom_bundle, "--json", tmp_path)
    (line,) = lines(result.stdout)
    assert (result.exit_code, line["error"]["code"]) == (1, "folder_without_images")
    assert "left out: 1 DICOM" in result.stderr


def test_the_results_file_holds_what_is_left_out_once(
    edge_predict: Any, phantom_bundle: Path, folder: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    (folder / "e.dcm").write_bytes(DICOM)
    place = tmp_path / "results.jsonl"
    call = ("--model", phantom_bundle, folder, "--output", place)
    first = edge_predict(*call)
    assert first.exit_code == 1
    assert first.stderr.startswith(f"{place}: 4 answered, 0 failed, 0 already there.\nleft out: 1 DICOM (")
    found = lines(place.read_text(encoding="ascii"))
    left_out = {Path(line["image"]).name: line["left_out"]["reason"] for line in found if "left_out" in line}
    assert left_out == {
        **{"e.dcm": "dicom", "n.txt": "unknown_kind", ".ipynb_checkpoints": "hidden"},
        **{"._a.png": "apple_double", "@eaDir": "thumbnail_folder"},
    }
    before = place.read_bytes()
    again = edge_predict(*call, "--resume", "--retry-failed")
    assert (again.exit_code, place.read_bytes()) == (1, before)
    assert "0 answered, 0 failed, 4 already there." in again.stderr
    shutil.copy(phantom_patches[1], folder / "e.dcm")
    mended = edge_predict(*call, "--resume")
    assert mended.exit_code == 0
    assert [line["image"] for line in lines(place.read_text(encoding="ascii"))[-1:]] == [str(folder / "e.dcm")]


def test_what_was_left_out_survives_taking_out_the_failures(
    edge_predict: Any, phantom_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "bad.png").write_bytes(b"no image")
    place = tmp_path / "results.jsonl"
    call = ("--model", phantom_bundle, folder, "--output", place)
    edge_predict(*call)
    edge_predict(*call, "--resume", "--retry-failed")
    found = lines(place.read_text(encoding="ascii"))
    assert len([line for line in found if "left_out" in line]) == 4
    assert [Path(line["image"]).name for line in found if "error" in line] == ["bad.png"]


def test_a_file_that_is_named_itself_is_read_whatever_it_is_called(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    hidden = shutil.copy(phantom_patches[0], tmp_path / ".a.part")
    result = edge_predict("--model", phantom_bundle, "--json", hidden)
    assert (result.exit_code, result.stderr, len(lines(result.stdout))) == (0, "", 1)


def test_a_watched_folder_leaves_the_same_out(
    phantom_bundle: Path, folder: Path, tmp_path: Path, watched: Callable[..., tuple[list[dict[str, Any]], str]]
) -> None:
    (folder / "IM1").write_bytes(DICOM)
    found, err = watched(phantom_bundle, folder, tmp_path / "results.jsonl", 5)
    for line in found:
        VALID.validate(line)
    assert sorted(Path(line["image"]).name for line in found if "decision" in line) == ["a.png", "b.jfif", "c.jpe", "d"]
    assert [(line["image"], line["left_out"]) for line in found if "left_out" in line] == [
        (str(folder / "IM1"), {"reason": "dicom"})
    ]
    assert "left out: 1 DICOM" in err


@pytest.fixture
def watched() -> Callable[..., tuple[list[dict[str, Any]], str]]:
    """Return a function that watches until the results file holds so many lines, and returns them and stderr."""
    import signal
    import subprocess
    import sys
    import time

    def run(bundle: Path, root: Path, place: Path, count: int) -> tuple[list[dict[str, Any]], str]:
        command = [sys.executable, "-m", "edge_runtime.cli.predict", "--model", bundle, "--watch", root]
        command += ["--output", place, "--interval", "0.05"]
        with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, cwd=ROOT) as process:
            end = time.monotonic() + 60
            while not place.exists() or place.read_bytes().count(b"\n") < count:
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.05)
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            err = process.stderr.read().decode()
            assert process.wait() == 0, err
        return [json.loads(line) for line in place.read_text(encoding="ascii").splitlines()], err

    return run
