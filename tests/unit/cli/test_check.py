"""``edge-predict check``: what is in a results file, counted by hand here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.inference.prediction import LeftOutLine
from edge_runtime.results.lines import to_line
from tests.unit.bundle.shipped_bundle import NAME, image
from tests.unit.results.made import answer, failure


@pytest.fixture
def place(tmp_path: Path) -> Path:
    lines = [
        answer("a.png"),
        answer("b.png"),
        failure("c.png"),
        LeftOutLine("d.txt", "no image", "b" * 64),
        answer("a.png"),
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(to_line(line) + "\n" for line in lines), encoding="ascii")
    return path


def test_a_sound_file_is_counted(place: Path, edge_predict: Any) -> None:
    result = edge_predict("check", place)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [row.split() for row in result.stdout.splitlines()]
    times = [json.loads(line)["time"] for line in place.read_text(encoding="ascii").splitlines()]
    assert rows == [
        ["answered", "3"],
        ["3", "NEGATIVE", "BELOW_CUTOFF"],
        ["failed", "1"],
        ["1", "image_not_found"],
        ["left", "out", "1"],
        ["1", "no", "image"],
        ["model", "3", "some-model", "1.0.0,", "bundle", "b" * 64],
        ["time", min(times), "to", max(times)],
        ["twice", "1", "images", "that", "have", "more", "than", "one", "line"],
        ["damaged", "0"],
    ]


def test_damaged_lines_are_named_and_leave_with_1(place: Path, edge_predict: Any) -> None:
    rows = place.read_bytes().splitlines(keepends=True)
    old = b'{"schema": "edge-predict/1", "image": "a.png", "error": {}}\n'
    place.write_bytes(rows[0] + b"nothing\n" + rows[1].replace(b"0.9", b"0.8") + old + rows[2] + rows[3][:100])
    result = edge_predict("check", place)
    assert result.exit_code == 1
    found = result.stdout.splitlines()
    assert found[-5].split() == ["damaged", "4"]
    assert [row.split(":")[0].strip() for row in found[-4:]] == ["line 2", "line 3", "line 4", "line 6"]
    assert "checksum" in found[-3] and "edge-predict/1" in found[-2] and "--resume moves it aside" in found[-1]
    assert "answered        1" in result.stdout and "failed          1" in result.stdout


def test_what_was_written_is_sound_and_an_image_may_be_called_check(
    edge_predict: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image(tmp_path / "in.png").rename(tmp_path / "check")
    done = edge_predict("--model", NAME, "./check", "missing.png", "--output", "results.jsonl")
    assert done.exit_code == 1
    printed = edge_predict("--model", NAME, "./check", "missing.png", "--json")
    (tmp_path / "printed.jsonl").write_text(printed.stdout, encoding="ascii")
    for name in ("results.jsonl", "printed.jsonl"):
        result = edge_predict("check", name)
        assert result.exit_code == 0, result.stdout
        assert "answered        1" in result.stdout and "failed          1" in result.stdout


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_no_file_leaves_with_2(name: str, edge_predict: Any, tmp_path: Path) -> None:
    result = edge_predict("check", tmp_path / name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error [results_unusable]: ")


def test_a_reason_cannot_steer_the_terminal(tmp_path: Path, edge_predict: Any) -> None:
    place = tmp_path / "r"
    place.write_text(to_line(LeftOutLine("a", "x\x1b[2J\nanswered 9", "b" * 64)) + "\n", encoding="ascii")
    result = edge_predict("check", place)
    assert "\x1b" not in result.stdout and "\nanswered 9" not in result.stdout


def test_help_names_it(edge_predict: Any) -> None:
    assert "edge-predict check FILE" in edge_predict("--help").stdout
    assert "Exit status:" in edge_predict("check", "--help").stdout
