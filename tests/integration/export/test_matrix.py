"""The table of many artifacts: what manifests say, what was refused beside it, and another Python's tflite-runtime."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import export.matrix
from edge_runtime.bundle.bundle import find
from export.cli import main
from tests.places import ROOT

FILES = [f"model.{kind}" for kind in ("int8.tflite", "float16.tflite", "float32.tflite", "int8.onnx", "float32.onnx")]
TFLITE = [name for name in FILES if name.endswith(".tflite")]

REPLAYS = """
import json, pathlib, sys
sys.path.insert(0, {root!r})
_, _, program, *arguments = sys.argv
if arguments:
    bundle, file, runtime, out = arguments
    assert runtime == "tflite"
    sys.argv = ["-c", bundle, file, "litert", out]
    exec(program)
    written = pathlib.Path(out)
    check = json.loads(written.read_text())
    {change}
    written.write_text(json.dumps(check))
"""
"""A Python whose interpreter calls itself tflite-runtime; it takes the probe for granted."""

INT8 = "file == 'model.int8.tflite'"
BROKEN = f"check |= {{'problem': 'op EXP version 2', 'passed': False, 'keras_difference': None}} if {INT8} else {{}}"
DIES = f"import os; {INT8} and os.abort()"


@pytest.fixture
def out(phantom_bundle: Path, tmp_path: Path) -> Path:
    """A folder that holds the finished bundle of ``phantom-patch`` already."""
    shutil.copytree(phantom_bundle, tmp_path / "out" / "phantom-patch")
    return tmp_path / "out"


@pytest.fixture
def other_python(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a program which stands for another environment's Python."""

    def write(body: str) -> Path:
        path = tmp_path / "other" / "python"
        path.parent.mkdir()
        path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
        path.chmod(0o755)
        return path

    return write


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["matrix", *map(str, arguments)])


def _rows(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def _plain(bundle: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    return value


def test_a_finished_bundle_is_told_file_by_file_and_not_exported_again(
    phantom_artifact: Path, phantom_data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(export.matrix, "export")
    done = _run(f"{phantom_artifact}={phantom_data}", "--out", out, "--rounds", 0, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    rows, told = {row["file"]: row for row in _rows(done)}, _plain(out / "phantom-patch")
    assert sorted(rows) == sorted(FILES)
    float32 = (out / "phantom-patch" / "model.float32.tflite").stat().st_size
    area = {labelled["subject"]: labelled["auroc"] for labelled in told["labelled"]}
    for parity in told["parity"]:
        row, size = rows[parity["file"]], (out / "phantom-patch" / parity["file"]).stat().st_size
        assert row["size_bytes"] == size and row["smaller"] == pytest.approx(float32 / size)
        shared = ("runtime", "images", "logit_mean", "logit_max", "flips", "flips_guarded", "reruns")
        assert [row[key] for key in shared] == [parity[key] for key in shared]
        assert row["auroc_change"] == pytest.approx(area[parity["file"]] - area["keras"])
        assert row["how"] == ([a["how"] for a in told["attempts"] if a["file"] == parity["file"]] or [""])[-1]
    assert {row["network"] for row in rows.values()} == {"phantom-patch"}
    assert {row["faster"] for row in rows.values()} == {None}


@pytest.mark.usefixtures("converted")
def test_what_is_refused_is_named_and_the_rest_is_exported(
    phantom_artifact: Path, phantom_data: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(phantom_artifact, tmp_path / "broken")
    (broken / "spec.json").write_text("{", encoding="utf-8")
    artifacts = (tmp_path / "absent", broken, phantom_artifact)
    done = _run(*(f"{path}={phantom_data}" for path in artifacts), "--out", tmp_path / "out", "--rounds", 0, "--json")
    assert done.exit_code == 1
    assert re.search(r"^error: absent: .*\n", done.stderr, re.MULTILINE)
    assert re.search(r"^error: broken: .*spec\.json.*\n", done.stderr, re.MULTILINE)
    assert done.stderr.endswith("2 of 3 artifacts were not exported.\n")
    assert sorted(row["file"] for row in _rows(done)) == sorted(FILES)
    find(tmp_path / "out" / "phantom-patch").verify()


def test_a_network_whose_int8_file_no_interpreter_runs_keeps_its_other_files(
    phantom_artifact: Path,
    phantom_data: Path,
    converted: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    converted["model.int8.tflite"] = lambda path: path.write_bytes(path.read_bytes()[:-4000])
    done = _run(f"{phantom_artifact}={phantom_data}", "--out", tmp_path / "out", "--rounds", 0, "--json")
    assert done.exit_code == 0
    assert "model.int8.tflite is not in the bundle" in caplog.text
    assert sorted(row["file"] for row in _rows(done)) == sorted({*FILES} - {"model.int8.tflite"})


def test_without_json_it_is_a_markdown_table_and_says_what_it_was_taken_with(
    phantom_artifact: Path, phantom_data: Path, out: Path
) -> None:
    done = _run(f"{phantom_artifact}={phantom_data}", "--out", out, "--rounds", 0)
    head, rule, *rows, empty, taken = done.stdout.splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, *rows)] == [15] * (2 + len(FILES))
    assert set(rule) == set("|- ")
    assert [row.split(" | ")[1] for row in rows] == [row["file"] for row in _plain(out / "phantom-patch")["parity"]]
    assert empty == "" and f"numpy {np.__version__}" in taken and "times" not in taken


def test_times_are_told_against_float32_tflite(phantom_artifact: Path, phantom_data: Path, out: Path) -> None:
    done = _run(f"{phantom_artifact}={phantom_data}", "--out", out, "--rounds", 2, "--json")
    faster = {row["file"]: row["faster"] for row in _rows(done)}
    assert faster["model.float32.tflite"] == 1.0
    assert all(0.01 < ratio < 100 for ratio in faster.values())
    assert len(set(faster.values())) > 1


@pytest.mark.parametrize("lacks", ["tflite-runtime", "everything"])
def test_a_python_without_self_test_is_refused_before_anything_is_exported(
    lacks: str, phantom_artifact: Path, phantom_data: Path, other_python: Callable[[str], Path], tmp_path: Path
) -> None:
    python = Path(sys.executable) if lacks == "tflite-runtime" else other_python("raise SystemExit('no such module')")
    done = _run(f"{phantom_artifact}={phantom_data}", "--out", tmp_path / "out", "--tflite-python", python)
    assert done.exit_code == 1
    assert f"error: {python}: found no self-test with tflite-runtime" in done.stderr
    assert "[tflite]" in done.stderr
    assert not (tmp_path / "out").exists()


def test_tflite_runtime_elsewhere_adds_its_golden_images(
    phantom_artifact: Path,
    phantom_data: Path,
    other_python: Callable[[str], Path],
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = other_python(REPLAYS.format(root=str(ROOT), change="pass"))
    monkeypatch.chdir(python.parents[1])  # a relative path must do, although the self-test runs elsewhere
    pair = f"{phantom_artifact}={phantom_data}"
    done = _run(pair, "--out", out, "--tflite-python", "other/python", "--rounds", 1, "--json")
    rows = {row["file"]: row for row in _rows(done) if row["runtime"] == "tflite"}
    assert sorted(rows) == sorted(TFLITE), done.stderr
    golden = np.load(io.BytesIO((out / "phantom-patch" / "golden.npz").read_bytes()))
    for name, row in rows.items():
        apart = np.abs(golden[f"logits/{name}"] - golden["keras_logits"])
        assert (row["images"], row["remark"], row["faster"]) == (len(apart), "as exported", None)
        assert row["logit_max"] == pytest.approx(apart.max(), rel=1e-3, abs=1e-6)
    assert len(_rows(done)) == len(FILES) + len(TFLITE)


@pytest.mark.parametrize(
    ("change", "says"),
    [(BROKEN, "op EXP version 2"), (DIES, "ended with SIGABRT")],
    ids=["refuses a file", "dies"],
)
def test_a_file_that_tflite_runtime_does_not_run_is_a_remark_and_the_other_files_have_their_figures(
    change: str, says: str, phantom_artifact: Path, phantom_data: Path, other_python: Callable[[str], Path], out: Path
) -> None:
    (out / "phantom-patch.tflite.json").write_text("{}", encoding="utf-8")  # of an earlier run: not to be believed
    pair = f"{phantom_artifact}={phantom_data}"
    python = other_python(REPLAYS.format(root=str(ROOT), change=change))
    done = _run(pair, "--out", out, "--tflite-python", python, "--rounds", 0, "--json")
    assert done.exit_code == 0, done.stderr
    rows = [row for row in _rows(done) if row["runtime"] == "tflite"]
    assert [row["file"] for row in rows] == [r["file"] for r in _plain(out / "phantom-patch")["parity"]][: len(TFLITE)]
    for row in rows:
        if row["file"] == "model.int8.tflite":
            assert (row["images"], row["logit_max"]) == (0, None)
            assert row["remark"].startswith("does not run: ") and says in row["remark"]
        else:
            assert row["images"] > 0 and row["remark"] == "as exported"
    assert len(_rows(done)) == len(FILES) + len(TFLITE)


def test_a_pair_without_data_is_told_how_it_is_written(tmp_path: Path) -> None:
    done = _run("runs/idc-patch", "--out", tmp_path / "out")
    assert (done.exit_code, done.stdout.count("\n")) == (1, 2)
    assert "expected for example runs/idc-patch=data/idc" in done.stderr
