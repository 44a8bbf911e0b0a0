"""``edge-predict``: answers on stdout, everything else on stderr, and the exit status that fits."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_runtime import __version__
from edge_runtime.cli.render import NOTICE
from edge_runtime.predictor import Predictor
from tests.places import ROOT

MODULE = "edge_runtime.cli.predict"
SCHEMA = json.loads((ROOT / "docs" / "prediction.schema.json").read_text(encoding="utf-8"))
VARIES = {"ms", "time", "check"}
VALID = jsonschema.Draft202012Validator(SCHEMA)
STATUSES = ("0    every", "1    some", "2    the command", "3    the model", "4    no interpreter", "130  interrupted")


def json_lines(text: str) -> list[dict[str, Any]]:
    """Parse and hold each line against the schema."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        VALID.validate(line)
    return lines


@pytest.fixture
def folder(phantom_patches: list[Path], tmp_path: Path) -> Path:
    """Images below each other, with names that no file system sorts by itself, and other files."""
    root = tmp_path / "pictures"
    for place, name in enumerate(("b.png", "a.PNG", "10.png", "9.png", "sub/a.png", "Übersicht 切片.png")):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(phantom_patches[place], root / name)
    (root / "notes.txt").write_text("no image")
    return root


def test_one_image_is_a_card(edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path]) -> None:
    result = edge_predict("--model", phantom_bundle, phantom_patches[0])
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    heads = ["image", "model", "label", "score", "", "site", "decision", "reason"]
    assert [line[:10].strip() for line in lines[:-1]] == heads
    assert str(phantom_patches[0]) in lines[0]
    assert lines[-1] == NOTICE


def test_many_images_are_a_table_in_the_order_given(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    chosen = [str(path) for path in phantom_patches[:40:4]][::-1]
    result = edge_predict("--model", phantom_bundle, *chosen)
    assert (result.exit_code, result.stderr) == (0, "")
    *head, columns = (lines := result.stdout.splitlines())[:3]
    assert "phantom-patch 1.0.0" in head[0]
    assert "cut-off 0.5000" in head[1] and head[1].endswith(", site uncalibrated")
    assert columns.split() == ["decision", "score", "label", "reason", "image"]
    assert [line.split()[-1] for line in lines[3:-1]] == chosen
    assert {line.split()[0] for line in lines[3:-1]} <= {"POSITIVE", "NEGATIVE", "REFER"}
    assert lines[-1] == NOTICE


def test_json_lines_hold_the_answers_and_fit_the_schema(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    result = edge_predict("--model", phantom_bundle, "--json", *phantom_patches[::9], "missing.png")
    assert result.exit_code == 1
    assert result.stderr == f"1 of {len(phantom_patches[::9]) + 1} failed.\n"
    found = json_lines(result.stdout)
    assert [line.get("site") for line in found] == ["uncalibrated"] * (len(found) - 1) + [None]
    with Predictor.load(phantom_bundle) as predictor:
        expected = [answer.to_dict() for answer in predictor.predict_all([*phantom_patches[::9], "missing.png"])]
    for line, answer in zip(found, expected, strict=True):
        assert {k: v for k, v in line.items() if k not in VARIES} == {
            k: v for k, v in answer.items() if k not in VARIES
        }


def test_csv_parses_and_holds_answers_and_failures(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    awkward = tmp_path / 'comma, "quote".png'
    shutil.copy(phantom_patches[0], awkward)
    result = edge_predict("--model", phantom_bundle, "--csv", awkward, "missing.png", phantom_patches[1])
    assert result.exit_code == 1
    good, bad, other = csv.DictReader(io.StringIO(result.stdout))
    assert [good["image"], bad["image"], other["image"]] == [str(awkward), "missing.png", str(phantom_patches[1])]
    assert good["decision"] in ("POSITIVE", "NEGATIVE", "REFER")
    assert 0 <= float(good["score"]) <= 1
    assert good["error_code"] == good["error_message"] == bad["site"] == ""
    assert good["site"] == other["site"] == "uncalibrated"
    assert bad["error_code"] == "image_not_found"
    assert bad["decision"] == bad["score"] == ""


def test_a_folder_is_its_images_in_order_of_their_names(edge_predict: Any, phantom_bundle: Path, folder: Path) -> None:
    for style in ("--json", "--csv"):
        result = edge_predict("--model", phantom_bundle, style, folder)
        assert (result.exit_code, result.stderr) == (0, f"left out: 1 unknown kind ({folder / 'notes.txt'}).\n")
        rows = json_lines(result.stdout) if style == "--json" else list(csv.DictReader(io.StringIO(result.stdout)))
        names = [Path(str(row["image"])).relative_to(folder).as_posix() for row in rows]
        assert names == ["10.png", "9.png", "a.PNG", "b.png", "sub/a.png", "Übersicht 切片.png"]


def test_a_bad_image_among_good_ones_is_the_only_one_without_an_answer(
    edge_predict: Any, phantom_bundle: Path, folder: Path
) -> None:
    (folder / "aa.png").write_bytes(b"no image at all")
    result = edge_predict("--model", phantom_bundle, folder)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == ["1 of 7 failed."]
    assert result.stdout.count("FAILED") == 1
    assert "[image_format]" in result.stdout
    assert sum(line.startswith(("POSITIVE", "NEGATIVE", "REFER")) for line in result.stdout.splitlines()) == 6


@pytest.mark.parametrize("backend", ["litert", "onnxruntime"])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_backend_and_precision_are_the_ones_asked_for(
    backend: str, precision: str, edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    result = edge_predict(
        *("--model", phantom_bundle, "--backend", backend, "--precision", precision, "--threads", 2),
        *("--json", *phantom_patches[:20]),
    )
    assert result.exit_code == 0
    for line in json_lines(result.stdout):
        assert line["backend"] == backend
        assert line["precision"] == ("float32" if line["reason"] == "PRECISION_RERUN" else precision)


USAGE: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "unknown option": ("--colour", "a.png"),
    "unknown backend": ("--backend", "torch", "a.png"),
    "unknown precision": ("--precision", "int4", "a.png"),
    "no threads": ("--threads", "0", "a.png"),
    "text for threads": ("--threads", "two", "a.png"),
    "option without value": ("a.png", "--threads"),
    "JSON and CSV": ("--json", "--csv", "a.png"),
    "CSV and JSON": ("--csv", "a.png", "--json"),
}


@pytest.mark.parametrize("case", USAGE)
def test_a_command_line_that_cannot_be_used_leaves_with_2(case: str, edge_predict: Any) -> None:
    result = edge_predict(*USAGE[case])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


def test_help_shows_the_exit_statuses_and_version_the_version(edge_predict: Any) -> None:
    for flag in ("--help", "-h"):
        result = edge_predict(flag)
        assert result.exit_code == 0
        missing = [status for status in STATUSES if status not in result.stdout]
        assert not missing, f"{missing} not in:\n{result.stdout}"
    assert edge_predict("--version").stdout == f"edge-predict, version {__version__}\n"


def test_an_interruption_leaves_with_130_and_whole_lines(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Predictor.predict

    def interrupted(self: Predictor, image: Any, **options: Any) -> Any:
        if str(image) == str(phantom_patches[2]):
            raise KeyboardInterrupt
        return whole(self, image, **options)

    monkeypatch.setattr(Predictor, "predict", interrupted)
    result = edge_predict("--model", phantom_bundle, "--json", *phantom_patches[:4])
    assert result.exit_code == 130
    assert [line["image"] for line in json_lines(result.stdout)] == [str(path) for path in phantom_patches[:2]]
    assert "interrupted" in result.stderr


def test_a_process_writes_answers_alone_on_stdout(
    process: Any, phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    for backend in ("litert", "onnxruntime"):
        done = process(MODULE, "--model", phantom_bundle, "--backend", backend, "--json", *phantom_patches[:3])
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(json_lines(done.stdout.decode("utf-8"))) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every file name is Unicode")
@pytest.mark.parametrize("style", ["--json", "--csv", None])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "koi8-r"])
def test_any_file_name_can_be_written_to_any_terminal(
    style: str | None, encoding: str, process: Any, phantom_bundle: Path, phantom_patches: list[Path], tmp_path: Path
) -> None:
    latin = os.fsdecode("Über\xe9.png".encode("latin-1"))
    for name in (latin, "切片.png"):
        shutil.copy(phantom_patches[0], tmp_path / name)
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    options = [style] if style else []
    done = process(MODULE, "--model", phantom_bundle, *options, tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.decode(encoding).splitlines()) >= 2
    if style == "--json":
        images = {line["image"] for line in json_lines(done.stdout.decode(encoding))}
        assert images == {str(tmp_path / latin), str(tmp_path / "切片.png")}


def test_a_reader_that_stops_early_ends_the_command_in_silence(
    phantom_bundle: Path, phantom_patches: list[Path]
) -> None:
    command = [sys.executable, "-m", MODULE, "--model", str(phantom_bundle), "--json", *map(str, phantom_patches)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        json_lines(running.stdout.readline().decode())
        running.stdout.close()
        assert running.stderr.read() == b""
