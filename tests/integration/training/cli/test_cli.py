"""``python -m training``: results on stdout, one line on stderr and exit 1 for what is wrong, nothing half-made."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_runtime.bundle.manifest import Evaluation
from edge_runtime.serialisation.records import from_dict
from training.artifact import Artifact
from training.cli import main
from training.data.datasets import idc
from training.data.splits import Part
from training.recipes import RECIPES


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _one_line_error(result: Result) -> str:
    """A refusal: exit 1, nothing on stdout, one message on stderr, and no traceback behind it."""
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def test_list_names_every_recipe_with_its_data_and_licence() -> None:
    result = _run("list")
    assert result.exit_code == 0
    for name, recipe in RECIPES.items():
        for part in (name, recipe.spec.summary, recipe.source.title, recipe.source.licence):
            assert part in result.stdout


def test_list_starts_without_a_training_framework() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from training.cli import main;"
        "CliRunner().invoke(main, ['list'], catch_exceptions=False);"
        "print(sorted({'keras', 'tensorflow', 'sklearn'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout == "[]\n"


def test_an_unknown_recipe_is_one_line_and_exit_1(tmp_path: Path) -> None:
    error = _one_line_error(_run("fit", "resnet", "--data", tmp_path, "--out", tmp_path / "out"))
    assert error == f"error: found recipe 'resnet', expected one of {', '.join(sorted(RECIPES))}.\n"


@pytest.mark.parametrize("inside", ["nothing", "no-layout", "bad-name"])
def test_a_fit_on_a_bad_folder_exits_1_and_leaves_nothing(tmp_path: Path, inside: str) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    if inside != "nothing":
        (data / "1" / "0").mkdir(parents=True)
    if inside == "bad-name":
        (data / "1" / "0" / "1_x1_class0.png").touch()
    error = _one_line_error(_run("fit", "phantom-patch", "--data", data, "--out", out))
    assert str(data) in error
    assert not out.exists()


def test_a_fit_prints_the_measured_figures_and_where_the_artifact_is(phantom_data: Path, tmp_path: Path) -> None:
    result = _run("fit", "phantom-patch", "--data", phantom_data, "--out", tmp_path / "a", "--epochs", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"artifact: {tmp_path / 'a'}\n")
    for part in ("keras on test:", "baseline on validation:", "balanced accuracy over baseline", "bootstrap over pat"):
        assert part in result.stdout
    error = _one_line_error(_run("fit", "phantom-patch", "--data", phantom_data, "--out", tmp_path / "a"))
    assert "already holds files" in error


def test_evaluate_as_json_says_again_what_the_fit_measured(phantom_data: Path, phantom_artifact: Path) -> None:
    result = _run("evaluate", phantom_artifact, "--data", phantom_data, "--part", "test", "--json")
    assert result.exit_code == 0, result.output
    found = [from_dict(Evaluation, value) for value in json.loads(result.stdout)["evaluations"]]
    expected = [e for e in Artifact(phantom_artifact).measured().evaluations if e.part == "test"]
    assert [e.subject for e in found] == ["keras", "baseline"]
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.images, ours.groups, ours.positives) == (theirs.images, theirs.groups, theirs.positives)
        assert ours.figure("auroc").value == pytest.approx(theirs.figure("auroc").value, abs=2e-3)


def test_evaluate_on_all_takes_patients_that_the_split_does_not_know(
    phantom_data: Path, phantom_artifact: Path, tmp_path: Path
) -> None:
    assert _run("phantoms", "--out", tmp_path, "--patients", "45", "--patches", "2").exit_code == 0
    error = _one_line_error(_run("evaluate", phantom_artifact, "--data", tmp_path))
    assert "patients are not in this model's split, the first 900" in error
    result = _run("evaluate", phantom_artifact, "--data", tmp_path, "--part", "all")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("keras on all: 90 images of 45 patients")


def test_evaluate_without_a_model_is_one_line_and_exit_1(phantom_data: Path, tmp_path: Path) -> None:
    error = _one_line_error(_run("evaluate", tmp_path / "absent", "--data", phantom_data))
    assert "spec.json: missing; expected a training artifact" in error


def test_evaluate_with_a_broken_model_is_one_line_and_exit_1(
    phantom_data: Path, phantom_artifact: Path, tmp_path: Path
) -> None:
    for name in ("spec.json", "split.csv", "metrics.json"):
        (tmp_path / name).write_bytes((phantom_artifact / name).read_bytes())
    (tmp_path / "model.keras").write_bytes(b"PK no zip")
    assert "expected a Keras 3 model" in _one_line_error(_run("evaluate", tmp_path, "--data", phantom_data))


def test_phantoms_are_written_once_and_never_over_others(tmp_path: Path) -> None:
    arguments = ("phantoms", "--out", tmp_path, "--patients", "3", "--patches", "4", "--seed", "5")
    result = _run(*arguments)
    assert result.stdout == f"12 phantoms of 3 made-up patients in {tmp_path}\n"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    assert len(before) == 12
    error = _one_line_error(_run(*arguments))
    assert "choose another root or remove it" in error
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before


def test_samples_name_training_images_of_both_labels_with_their_sha256(
    phantom_data: Path, phantom_artifact: Path, tmp_path: Path
) -> None:
    result = _run("samples", phantom_artifact, "--data", phantom_data, "--out", tmp_path / "s" / "l.csv", "--count", 64)
    with (tmp_path / "s" / "l.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert result.stdout == f"{len(rows)} training images named in {tmp_path / 's' / 'l.csv'}\n"
    assert len(rows) == len({row["name"] for row in rows}) == 64
    split = Artifact(phantom_artifact).split()
    known = {sample.name: sample for sample in idc.load(phantom_data).samples}
    for row in rows:
        assert split[known[row["name"]].group] is Part.TRAIN, row["name"]
        assert hashlib.sha256(known[row["name"]].path.read_bytes()).hexdigest() == row["sha256"], row["name"]
    malignant = sum(known[row["name"]].label for row in rows)
    assert 24 <= malignant <= 40, f"{malignant} of 64 malignant"
    patients = {known[row["name"]].group for row in rows}
    training = [group for group, part in split.items() if part is Part.TRAIN]
    assert len(patients) >= 0.75 * len(training), f"{len(patients)} of {len(training)} training patients"


def test_samples_are_the_same_every_time(phantom_data: Path, phantom_artifact: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        assert _run("samples", phantom_artifact, "--data", phantom_data, "--out", tmp_path / name).exit_code == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
