"""``--output``: one line an image, ``--resume`` and ``--retry-failed``, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.predictor import Predictor
from tests.places import ROOT
from tests.unit.cli.results_lines import images, lines

USAGE = {
    "resume without a file": ("--resume", "a.png"),
    "watch without a file": ("--watch", "."),
    "retry without resume": ("--output", "x", "--retry-failed", "a.png"),
    "watch and images": ("--output", "x", "--watch", ".", "a.png"),
    "CSV": ("--output", "x", "--csv", "a.png"),
    "no images": ("--output", "x"),
    "an interval of nothing": ("--output", "x", "--watch", ".", "--interval", "0"),
}


def test_results_are_those_of_json_and_nothing_is_on_stdout(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], place: Path
) -> None:
    result = edge_predict("--model", phantom_bundle, *phantom_patches[:5], "missing.png", "--json", "--output", place)
    assert (result.exit_code, result.stdout) == (1, "")
    summary, remedy = result.stderr.splitlines()
    assert summary == f"{place}: 5 answered, 1 failed, 0 already there."
    assert "--resume --retry-failed" in remedy
    with Predictor.load(phantom_bundle) as predictor:
        expected = [answer.to_dict() for answer in predictor.predict_all([*phantom_patches[:5], "missing.png"])]
    assert lines(place) == [
        {key: value for key, value in line.items() if key not in ("ms", "time", "check")} for line in expected
    ]


def test_a_path_named_twice_has_one_line(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], place: Path
) -> None:
    a, b = phantom_patches[:2]
    result = edge_predict("--model", phantom_bundle, a, b, a, "missing.png", "missing.png", "--output", place)
    assert images(place) == [str(a), str(b), "missing.png"]
    assert "2 answered, 1 failed, 0 already" in result.stderr


def test_resuming_answers_what_is_new_alone_and_failures_only_on_request(
    edge_predict: Any, phantom_bundle: Path, phantom_patches: list[Path], place: Path, tmp_path: Path
) -> None:
    late, (a, b) = tmp_path / "late.png", phantom_patches[:2]
    call = ("--model", phantom_bundle, "--output", place)
    assert edge_predict(*call, a, late).exit_code == 1
    shutil.copy(phantom_patches[3], late)
    again = edge_predict(*call, "--resume", a, late, b)
    assert (again.exit_code, images(place)) == (1, [str(a), str(late), str(b)])
    assert "1 answered, 0 failed, 2 already there (1 failed)." in again.stderr
    retried = edge_predict(*call, "--resume", "--retry-failed", a, late, b)
    assert (retried.exit_code, images(place)) == (0, [str(a), str(b), str(late)])
    assert "1 answered, 0 failed, 2 already there." in retried.stderr
    before = place.read_bytes()
    assert edge_predict(*call, "--resume", a, late, b).exit_code == 0
    assert place.read_bytes() == before


def test_a_file_that_cannot_take_the_answers_leaves_with_2(
    edge_predict: Any, phantom_bundle: Path, edited_bundle: Any, phantom_patches: list[Path], place: Path
) -> None:
    call = ("--output", place, phantom_patches[0])
    assert edge_predict("--model", phantom_bundle, *call).exit_code == 0
    before = place.read_bytes()
    other = edited_bundle(lambda manifest: manifest["spec"].update(version="9.9.9"))
    refusals = {
        "results_exists": edge_predict("--model", phantom_bundle, *call),
        "results_other_model": edge_predict("--model", other, *call, "--resume"),
        "results_unusable": edge_predict("--model", phantom_bundle, "--output", place / "x", phantom_patches[0]),
    }
    for code, result in refusals.items():
        assert (result.exit_code, result.stdout) == (2, ""), code
        assert result.stderr.startswith(f"error [{code}]: {place}"), result.stderr
    assert place.read_bytes() == before


@pytest.mark.parametrize("case", USAGE)
def test_options_that_contradict_each_other_leave_with_2(case: str, edge_predict: Any) -> None:
    result = edge_predict(*USAGE[case])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


@pytest.mark.parametrize("to_file", [True, False])
def test_a_folder_that_cannot_be_listed_is_a_failure_beside_the_answers(
    to_file: bool,
    edge_predict: Any,
    phantom_bundle: Path,
    folder: Callable[[int], Path],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, listed = folder(5), os.scandir
    (images / "closed").mkdir()

    def closed(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", closed)
    result = edge_predict("--model", phantom_bundle, images, "--json", *(["--output", place] if to_file else []))
    assert result.exit_code == 1
    found = lines(place) if to_file else [json.loads(line) for line in result.stdout.splitlines()]
    assert len(found) == 6
    assert (found[-1]["image"], found[-1]["error"]["code"]) == (str(images / "closed"), "folder_unreadable")


def test_a_command_without_a_results_file_does_not_load_what_writes_one() -> None:
    code = "import sys, edge_runtime.cli.predict; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT, timeout=60)
    modules = loaded.stdout.decode().split()
    assert "edge_runtime.cli.predict" in modules
    unwanted = {
        f"edge_runtime.{name}"
        for name in ("results.file", "results.durable", "results.watch", "cli.filing", "cli.watching")
    }
    assert not unwanted & {*modules}
