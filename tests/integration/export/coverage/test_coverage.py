"""The coverage table: it names every network and activation of Keras, and a sample of it is exported or refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

from export.cli import main
from export.coverage import activations, applications, measure
from export.coverage.elsewhere import release
from export.coverage.record import read
from export.coverage.row import Outcome, Row
from export.coverage.subjects import subjects
from training.versions import version

SECOND_NAMES = {"swish": "silu", "hard_swish": "hard_silu"}


def test_every_network_of_keras_applications_is_in_the_table() -> None:
    known = {name for name in dir(keras.applications) if name[0].isupper()}
    assert set(applications.NAMES) == known
    assert len(applications.NAMES) == len(known)


def test_every_activation_of_keras_is_in_the_table() -> None:
    functions = {name for name in dir(keras.activations) if callable(getattr(keras.activations, name))}
    known = functions - {"get", "serialize", "deserialize"} - SECOND_NAMES.keys()
    assert set(activations.NAMES) == known
    for second, first in SECOND_NAMES.items():
        assert getattr(keras.activations, second) is getattr(keras.activations, first)


def test_every_name_of_a_row_and_of_its_file_is_there_once() -> None:
    every = list(subjects())
    assert len({subject.name for subject in every}) == len({subject.file for subject in every}) == len(every)


def test_patterns_choose_by_name_and_by_group() -> None:
    assert [subject.name for subject in subjects(("gel*",))] == ["gelu", "gelu, approximate"]
    assert {subject.group for subject in subjects(("convolutions",))} == {"convolutions"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Rows of two networks, and the page: one that is exported, one that ONNX lacks an operator for."""
    folder = tmp_path_factory.mktemp("coverage")
    done = CliRunner().invoke(
        main, ["coverage", "two outputs, one chosen", "erfinv*", "--out", str(folder / "rows.jsonl")]
    )
    assert done.exit_code == 0, done.output
    return folder, done.stdout


def _row(folder: Path, name: str) -> Row:
    return read(folder / "rows.jsonl")[name]


def test_an_exported_network_has_all_five_formats(sample: tuple[Path, str]) -> None:
    row = _row(sample[0], "two outputs, one chosen")
    assert (row.outcome, row.text) == (Outcome.EXPORTED, "")
    assert {(cell.file, cell.runtime) for cell in row.cells} == {
        *((f"model.{precision}.tflite", "litert") for precision in ("float32", "float16", "int8")),
        *((f"model.{precision}.onnx", "onnxruntime") for precision in ("float32", "int8")),
    }
    assert row.processor_seconds is not None and row.processor_seconds > 1
    assert all(cell.logit_max is not None and cell.logit_max < 0.5 for cell in row.cells)


def test_a_layer_that_cannot_be_converted_is_refused_in_a_sentence_that_names_it(sample: tuple[Path, str]) -> None:
    row = _row(sample[0], "erfinv, which the converters lack")
    assert row.outcome is Outcome.REFUSED
    assert "found layer erfinv (Erfinv)" in row.text
    assert row.text.count(". ") == 1
    assert row.text in sample[1]


def test_a_second_run_measures_nothing_again(sample: tuple[Path, str]) -> None:
    rows = sample[0] / "rows.jsonl"
    before = rows.read_bytes()
    arguments = ["coverage", "two outputs, one chosen", "erfinv*", "--out", str(rows)]
    page = sample[0] / "page.md"
    assert CliRunner().invoke(main, [*arguments, "--page", str(page)]).exit_code == 0
    assert page.read_text(encoding="utf-8") == sample[1]
    assert rows.read_bytes() == before


def test_a_network_that_a_limit_stopped_is_measured_again(
    sample: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.jsonl"
    stopped = replace(_row(sample[0], "erfinv, which the converters lack"), outcome=Outcome.NOT_MEASURED)
    for row in (stopped, replace(stopped, outcome=Outcome.REFUSED), replace(stopped, text="never measured")):
        monkeypatch.setattr(measure, "_row", lambda *_, row=row: row)
        assert CliRunner().invoke(main, ["coverage", "erfinv*", "--out", str(rows)]).exit_code == 0
    assert [row.outcome for row in read(rows).values()] == [Outcome.REFUSED]
    assert rows.read_bytes().count(b"\n") == 2


def test_again_appends_a_row_that_counts(sample: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sample[0] / "rows.jsonl"
    before = rows.read_bytes()
    monkeypatch.setattr(measure, "_row", lambda subject, _: replace(_row(sample[0], subject.name), text="newer"))
    done = CliRunner().invoke(main, ["coverage", "erfinv*", "--out", str(rows), "--again"])
    assert done.exit_code == 0 and "newer" in done.stdout
    assert rows.read_bytes().startswith(before) and rows.read_bytes().count(b"\n") == before.count(b"\n") + 1
    assert _row(sample[0], "erfinv, which the converters lack").text == "newer"
    rows.write_bytes(before)


def test_the_release_of_another_python_is_found_and_one_without_tensorflow_is_refused(tmp_path: Path) -> None:
    assert release(Path(sys.executable)) == ".".join(version("tensorflow").split(".")[:2])
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    rows = str(tmp_path / "rows.jsonl")
    done = CliRunner().invoke(main, ["coverage", "relu", "--out", rows, "--tensorflow-python", str(bare)])
    assert done.exit_code == 2 and "found no TensorFlow" in done.output
